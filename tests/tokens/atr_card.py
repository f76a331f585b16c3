"""A smart card that answers with its ATR and knows nothing else: `python -m tests.tokens.atr_card`.

It speaks vpcd's protocol: messages with a length of two bytes before them, big-endian; those of one byte are controls,
of which only "what is your ATR" (4) wants an answer, and all others are APDUs. It is in for as long as this runs.
"""

from __future__ import annotations

import socket
import struct
import time

from tests.tokens.pcsc import CARD_IN

_PORT = 35963
_ASKS_ATR = b"\x04"
_ATR = bytes.fromhex("3B80800101")
_UNKNOWN_INSTRUCTION = b"\x6d\x00"


def connected() -> socket.socket:
    """The reader's port; it opens some time after pcscd listens."""
    while True:
        try:
            return socket.create_connection(("127.0.0.1", _PORT))
        except ConnectionRefusedError:
            time.sleep(0.02)


def main() -> None:
    """Answer until the reader goes."""
    reader, said = connected(), False
    with reader, reader.makefile("rb") as stream:
        while head := stream.read(2):
            message = stream.read(int.from_bytes(head, "big"))
            answer = _ATR if message == _ASKS_ATR else _UNKNOWN_INSTRUCTION if len(message) > 1 else b""
            if answer:
                reader.sendall(struct.pack(">H", len(answer)) + answer)
            if not said and message == _ASKS_ATR:
                print(CARD_IN, flush=True)
                said = True


if __name__ == "__main__":
    main()
