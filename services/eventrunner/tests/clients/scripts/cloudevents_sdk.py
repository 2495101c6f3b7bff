"""Sends each event of events.json with the official CloudEvents SDK for Python, in every mode, and reads it back with it.

    cloudevents_sdk.py EVENTS SOURCE

Where to and as whom is in EVENTRUNNER_URL, EVENTRUNNER_API_URL and EVENTRUNNER_KEY. Writes a line of JSON for each
request: the mode, the headers and the body (base64) as they were sent. Ends with 1 if an event did not come back equal.
"""

import base64
import json
import os
import sys
import time
import urllib.parse
from datetime import datetime

import requests
from cloudevents.core.bindings.http import HTTPMessage, from_http_event, to_binary_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

URL, API_URL, KEY = (os.environ[name] for name in ("EVENTRUNNER_URL", "EVENTRUNNER_API_URL", "EVENTRUNNER_KEY"))
READ_TIMEOUT_SECONDS = 30

session = requests.Session()
session.headers["Authorization"] = f"Bearer {KEY}"


def build(case: dict, mode: str, source: str) -> CloudEvent:
    attributes = {**case["attributes"], "id": f"{mode}-{case['name']}", "source": source}
    if "time" in attributes:
        attributes["time"] = datetime.fromisoformat(attributes["time"].replace("Z", "+00:00"))
    data = case.get("data", {})
    if "base64" in data:
        return CloudEvent(attributes, base64.b64decode(data["base64"]))
    if "text" in data:
        return CloudEvent(attributes, data["text"] * data.get("times", 1))
    return CloudEvent(attributes, data.get("json"))


def send(mode: str, headers: dict, body: bytes, events: list[CloudEvent]) -> None:
    print(json.dumps({"mode": mode, "headers": headers, "body": base64.b64encode(body).decode()}))
    answer = session.post(f"{URL}/v1/events", headers=headers, data=body, timeout=30)
    assert answer.status_code == 202, f"{mode} {events[0].get_id()}: {answer.status_code} {answer.text}"
    named = [(e["source"], e["id"]) for e in answer.json()["events"]]
    assert named == [(e.get_source(), e.get_id()) for e in events], answer.text


def read(event: CloudEvent) -> CloudEvent:
    """As soon as it is stored."""
    source, event_id = (urllib.parse.quote(part, safe="") for part in (event.get_source(), event.get_id()))
    deadline = time.monotonic() + READ_TIMEOUT_SECONDS
    while True:
        answer = session.get(f"{API_URL}/api/v1/events/{source}/{event_id}", timeout=30)
        if answer.status_code == 200:
            return from_http_event(HTTPMessage(dict(answer.headers), answer.content))
        is_on_its_way = answer.status_code == 404 and time.monotonic() < deadline
        assert is_on_its_way, f"{event_id}: {answer.status_code} {answer.text}"
        time.sleep(0.02)


def attributes(event: CloudEvent, mode: str) -> dict:
    """Headers have no types: in binary mode a value is what its text says."""
    return {k: str(v) if mode == "binary" else v for k, v in event.get_attributes().items()}


def payload(event: CloudEvent) -> bytes:
    """The bytes the SDK would write; a body that is empty is no data."""
    return JSONFormat().write_data(event.get_data(), event.get_datacontenttype())


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        cases = json.load(file)
    source = sys.argv[2]
    sent = []
    for case in cases:
        event = build(case, "binary", source)
        message = to_binary_event(event)
        send("binary", message.headers, message.body, [event])
        sent.append(("binary", event))
        event = build(case, "structured", source)
        message = to_structured_event(event)
        send("structured", message.headers, message.body, [event])
        sent.append(("structured", event))
    # The SDK writes no batches: one is an array of its structured events (JSON format 1.0.2, section 4).
    batch = [build(case, "batch", source) for case in cases]
    body = b"[" + b",".join(to_structured_event(event).body for event in batch) + b"]"
    send("batch", {"content-type": "application/cloudevents-batch+json"}, body, batch)
    sent += [("batch", event) for event in batch]

    failed = 0
    for mode, event in sent:
        back = read(event)
        if attributes(back, mode) != attributes(event, mode) or payload(back) != payload(event):
            failed += 1
            print(f"{mode} {event.get_id()}: sent {event.get_attributes()} {event.get_data()!r:.200}", file=sys.stderr)
            print(f"    read {back.get_attributes()} {back.get_data()!r:.200}", file=sys.stderr)
    if failed:
        sys.exit(f"{failed} of {len(sent)} events did not come back equal")


if __name__ == "__main__":
    main()
