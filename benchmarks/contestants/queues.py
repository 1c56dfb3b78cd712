"""What one writes without a library: asyncio.Queue and TaskGroup, or trio's memory channels."""

import asyncio
import math
from functools import partial

import trio

from .crowd import Add, Get
from .tasks import open_tasks


class AsyncioCounter:
    def __init__(self, number: int) -> None:
        self.ended = False
        self._number = number
        self._queue: asyncio.Queue[Add | asyncio.Future[int] | None] = asyncio.Queue()

    def tell(self, message: Add | None) -> None:
        self._queue.put_nowait(message)

    async def ask(self, message: Get) -> int:
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(answer)
        return await answer

    async def run(self) -> None:
        while (message := await self._queue.get()) is not None:
            if isinstance(message, Add):
                self._number += 1
            else:
                message.set_result(self._number)
        self.ended = True


class Answer:
    def __init__(self) -> None:
        self.arrived = trio.Event()
        self.number = 0


class TrioCounter:
    def __init__(self, number: int) -> None:
        self.ended = False
        self._number = number
        channel = trio.open_memory_channel[Add | Answer | None](math.inf)
        self._sender, self._receiver = channel

    def tell(self, message: Add | None) -> None:
        self._sender.send_nowait(message)

    async def ask(self, message: Get) -> int:
        answer = Answer()
        self._sender.send_nowait(answer)
        await answer.arrived.wait()
        return answer.number

    async def run(self) -> None:
        while (message := await self._receiver.receive()) is not None:
            if isinstance(message, Add):
                self._number += 1
            else:
                message.number = self._number
                message.arrived.set()
        self.ended = True


open_crowd = partial(open_tasks, AsyncioCounter, TrioCounter)
