"""Token auth by hand: the handler looks at the token itself, before it accepts.

herdwick run examples.token_auth:app

Connect to ws://127.0.0.1:8000/token-auth?token=wool, or offer the subprotocol bearer.wool; other
tokens are refused with 403. Prefer the subprotocol: URLs end up in logs.
"""

import herdwick
from herdwick import Application, WebSocket, token_from_query, token_from_subprotocol

USERS = {"wool": "Ada", "fell": "Bob"}

app = Application()
from_query, from_subprotocol = token_from_query("token"), token_from_subprotocol()


@app.ws("/token-auth")
async def token_auth(websocket: WebSocket) -> None:
    request = websocket.request
    user = USERS.get(from_query(request) or from_subprotocol(request) or "")
    if user is None:
        await websocket.close()  # before accept: the handshake is answered with 403
        return

    await websocket.accept(subprotocol="chat" if "chat" in websocket.subprotocols else None)
    await websocket.send_json({"type": "authenticated", "user": user})
    async for text in websocket.iter_text():
        await websocket.send_json({"user": user, "text": text})


if __name__ == "__main__":
    herdwick.run(app)
