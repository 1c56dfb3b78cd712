"""Echo: every text comes back.

herdwick run examples.echo:app
"""

import herdwick
from herdwick import Application, WebSocket

app = Application()


@app.ws("/echo")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


if __name__ == "__main__":
    herdwick.run(app)
