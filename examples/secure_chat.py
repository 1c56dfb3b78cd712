"""Secure chat: nothing is said to who has shown no valid token.

herdwick run examples.secure_chat:app        (needs the extra: pip install 'herdwick[jwt]')

1. POST /login?name=Ada gives a token for ten minutes; a real login asks for more than a name.
2. A program sends it as `Authorization: Bearer <token>`, a browser, which cannot, as
   new WebSocket("ws://127.0.0.1:8000/secure-chat", ["chat", "bearer." + token])
3. Or neither: then it has to be the first message, within 5 seconds.
   const socket = new WebSocket("ws://127.0.0.1:8000/secure-chat")
   socket.onopen = () => socket.send(token)
   Who is not let in is closed with 4401.
4. POST /logout?name=Ada closes all connections of Ada with 4401; a real one asks who says so.
"""

import secrets
from time import time

import jwt

import herdwick
from herdwick import (
    Application,
    FromQuery,
    Identity,
    JWTBearer,
    Limits,
    Ref,
    Response,
    Send,
    WebSocket,
    auth,
    json,
    token_from_header,
    token_from_subprotocol,
)

ISSUER, AUDIENCE, LIFETIME = "https://login.example", "secure-chat", 600
secret = secrets.token_urlsafe(32)  # a new one with each start: the tokens of the last are void

app = Application(limits=Limits(auth_timeout=5.0))
app.use_authentication().add(
    JWTBearer.with_secret(
        secret,
        issuers=[ISSUER],
        audiences=[AUDIENCE],
        sources=[token_from_header(), token_from_subprotocol()],
    )
)
members: set[Ref[Send]] = set()


@app.post("/login")
async def login(name: FromQuery[str]) -> Response:
    claims = {"sub": name.value, "iss": ISSUER, "aud": AUDIENCE, "exp": time() + LIFETIME}
    return json({"token": jwt.encode(claims, secret, "HS256")})


@app.post("/logout")
async def logout(name: FromQuery[str]) -> Response:
    return json({"closed": app.users.disconnect(name.value, reason="logged out")})


@app.ws("/secure-chat")
@auth(first_message=True)
async def secure_chat(websocket: WebSocket, identity: Identity) -> None:
    await websocket.accept(subprotocol="chat" if "chat" in websocket.subprotocols else None)
    await websocket.send_json({"type": "welcome", "user": identity.id})
    members.add(websocket.ref)
    try:
        async for text in websocket.iter_text():
            for member in members:
                member.tell(Send({"type": "said", "user": identity.id, "text": text}))
    finally:
        members.discard(websocket.ref)


if __name__ == "__main__":
    herdwick.run(app)
