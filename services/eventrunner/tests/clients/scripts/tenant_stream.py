"""Reads a tenant's stream with nats-py, as any NATS client may.

    tenant_stream.py NATS_URL CREDENTIALS_FILE COUNT

Reads from stdin what `eventrunner tenants nats-credentials -o json` said. Subscribes to the subject, says so with the line
{"subscribed": true}, and waits for COUNT messages as they come; then reads them from the beginning of the stream, by the consumer. Checks that each message is a
well-formed CloudEvent in NATS binary mode, and writes it as a line of JSON: {read: live|stream, subject, attributes,
data}.
"""

import asyncio
import base64
import json
import re
import sys
from datetime import datetime
from urllib.parse import unquote

import nats
from nats.aio.msg import Msg

TIMEOUT_SECONDS = 60


def attributes(message: Msg) -> dict:
    """CloudEvents NATS protocol binding 1.0.2, section 3.1: a header an attribute, values percent-encoded."""
    found = {}
    for name, value in (message.headers or {}).items():
        if not name.lower().startswith("ce-"):
            continue
        name = name[3:].lower()
        assert re.fullmatch("[a-z0-9]+", name), f"{name!r} is no attribute name"
        assert re.fullmatch("(?:[!#$&-~]|%[0-9A-F]{2})*", value), f"{name}: {value!r} has what must be percent-encoded"
        assert name not in found, f"{name} is there twice"
        found[name] = unquote(value, errors="strict")
    assert found.get("specversion") == "1.0", found
    for name in ("id", "source", "type"):
        assert found.get(name), f"{name} is missing: {found}"
    if "time" in found:
        at = datetime.fromisoformat(re.sub(r"(?i)z$", "+00:00", found["time"]))
        assert at.tzinfo, f"{found['time']} has no offset"
    return found


def show(read: str, message: Msg) -> None:
    data = base64.b64encode(message.data).decode()
    line = {"read": read, "subject": message.subject, "attributes": attributes(message), "data": data}
    print(json.dumps(line), flush=True)


async def main() -> None:
    url, credentials, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    made = json.load(sys.stdin)
    client = await nats.connect(url, user_credentials=credentials)
    live = await client.subscribe(made["subject"])
    await client.flush()
    print(json.dumps({"subscribed": True}), flush=True)
    for _ in range(count):
        show("live", await live.next_msg(timeout=TIMEOUT_SECONDS))
    jetstream = client.jetstream(domain=made["domain"])
    stored = await jetstream.pull_subscribe_bind(consumer=made["consumer"], stream=made["stream"])
    for _ in range(count):
        for message in await stored.fetch(1, timeout=TIMEOUT_SECONDS):
            show("stream", message)
            await message.ack_sync()
    await client.close()


asyncio.run(main())
