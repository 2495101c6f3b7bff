"""Drives each RPC with grpcio, which knows the services from reflection alone, and reads each event back equal.

    drive_rpcs.py EVENTS INGEST_ADDRESS API_ADDRESS

Where the API is and as whom is in EVENTRUNNER_API_URL and EVENTRUNNER_KEY. Writes a line of JSON for each RPC that was
driven: {rpc, events}. Ends with 1 if reflection names an RPC that was not.
"""

import base64
import json
import os
import queue
import sys
import time
import urllib.parse

import grpc
import requests
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

API_URL, KEY = os.environ["EVENTRUNNER_API_URL"], os.environ["EVENTRUNNER_KEY"]
TIMEOUT_SECONDS = 30
METADATA = (("authorization", f"Bearer {KEY}"),)
SOURCE = "/clients/grpc"


class Server:
    """A server of which only the address is known."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.insecure_channel(address)
        grpc.channel_ready_future(self.channel).result(timeout=TIMEOUT_SECONDS)
        self.database = ProtoReflectionDescriptorDatabase(self.channel)
        self.pool = descriptor_pool.DescriptorPool(self.database)
        self.driven: dict[str, int] = {}

    def rpcs(self) -> set[str]:
        """Each RPC that reflection names. Reflection itself is driven by asking."""
        services = [name for name in self.database.get_services() if not name.startswith("grpc.reflection.")]
        return {m.full_name for name in services for m in self.pool.FindServiceByName(name).methods}

    def message(self, name: str, **fields) -> Message:
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(name))(**fields)

    def call(self, rpc: str, request):
        """Calls it with a message, or an iterator of messages where it takes a stream."""
        method = self.pool.FindMethodByName(rpc)
        kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
        stub = getattr(self.channel, kind)(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
        )
        self.driven.setdefault(rpc, 0)
        return stub(request, timeout=TIMEOUT_SECONDS, metadata=METADATA)


def event_of(server: Server, case: dict, event_id: str) -> Message:
    """A case of events.json as a CloudEvent in protobuf, each attribute in its type."""
    event = server.message("io.cloudevents.v1.CloudEvent", id=event_id, source=SOURCE, spec_version="1.0")
    for name, value in case["attributes"].items():
        if name == "type":
            event.type = value
        elif name == "time":
            event.attributes[name].ce_timestamp.FromJsonString(value)
        elif name == "dataschema":
            event.attributes[name].ce_uri = value
        elif isinstance(value, bool):
            event.attributes[name].ce_boolean = value
        elif isinstance(value, int):
            event.attributes[name].ce_integer = value
        else:
            event.attributes[name].ce_string = value
    data = case.get("data", {})
    if "base64" in data:
        event.binary_data = base64.b64decode(data["base64"])
    elif "text" in data:
        event.text_data = data["text"] * data.get("times", 1)
    elif "json" in data:
        event.text_data = json.dumps(data["json"], ensure_ascii=False)
    return event


def typed(server: Server, event_id: str) -> Message:
    """What no case of events.json has: every type of attribute, and a protobuf message as data."""
    event = event_of(server, {"attributes": {"type": "com.example.typed"}}, event_id)
    event.attributes["aboolean"].ce_boolean = False
    event.attributes["aninteger"].ce_integer = -(2**31)
    event.attributes["astring"].ce_string = "a string"
    event.attributes["bytes"].ce_bytes = bytes(range(256))
    event.attributes["auri"].ce_uri = "https://example.com/a?b=c#d"
    event.attributes["auriref"].ce_uri_ref = "../relative"
    event.attributes["atimestamp"].ce_timestamp.FromJsonString("2026-11-21T10:00:00.123456Z")
    event.proto_data.type_url = "type.googleapis.com/google.protobuf.Timestamp"
    event.proto_data.value = b"\x08\x01"
    return event


def stored(event: Message) -> Message:
    """The event as the API answers it, in protobuf."""
    path = "/".join(urllib.parse.quote(part, safe="") for part in (event.source, event.id))
    headers = {"authorization": f"Bearer {KEY}", "accept": "application/cloudevents+protobuf"}
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        answer = requests.get(f"{API_URL}/api/v1/events/{path}", headers=headers, timeout=30)
        if answer.status_code == 200:
            return type(event).FromString(answer.content)
        is_on_its_way = answer.status_code == 404 and time.monotonic() < deadline
        assert is_on_its_way, f"{event.id}: {answer.status_code} {answer.text}"
        time.sleep(0.02)


def text_of(value: Message) -> str:
    """An attribute as the header of a tenant stream has it."""
    kind = value.WhichOneof("attr")
    found = getattr(value, kind)
    if kind == "ce_boolean":
        return str(found).lower()
    if kind == "ce_bytes":
        return base64.b64encode(found).decode()
    if kind == "ce_timestamp":
        return found.ToJsonString()
    return str(found)


def plain(event: Message) -> tuple:
    """An event without the types that NATS headers do not have (CloudEvents NATS binding 1.0.2, section 3.1)."""
    data = event.WhichOneof("data")
    payload = getattr(event, data) if data else b""
    if data == "text_data":
        payload = payload.encode()
    if data == "proto_data":
        payload = payload.SerializeToString()
    attributes = {name: text_of(value) for name, value in event.attributes.items()}
    # Text of an event that names no type is JSON there, and says so.
    if data == "text_data":
        attributes.setdefault("datacontenttype", "application/json")
    return event.id, event.source, event.type, attributes, payload


def accepted(results, events: list[Message]) -> None:
    assert [(r.accepted.source, r.accepted.id) for r in results] == [(e.source, e.id) for e in events], results


def publish(server: Server, cases: list[dict]) -> list[Message]:
    """Each RPC of the ingest service with each case."""
    service = "eventrunner.v1.EventIngestService"

    def events_for(rpc: str) -> list[Message]:
        events = [event_of(server, case, f"{rpc}-{case['name']}") for case in cases] + [typed(server, f"{rpc}-typed")]
        server.driven[f"{service}.{rpc}"] = len(events)
        return events

    one_by_one = events_for("PublishEvent")
    for event in one_by_one:
        request = server.message("eventrunner.v1.PublishEventRequest", event=event)
        answer = server.call(f"{service}.PublishEvent", request)
        assert (answer.event.source, answer.event.id) == (event.source, event.id), answer
        assert len(answer.trace_id) == 32, answer

    at_once = events_for("PublishEvents")
    broken = server.message("io.cloudevents.v1.CloudEvent", id="broken", source=SOURCE, spec_version="1.0")
    request = server.message("eventrunner.v1.PublishEventsRequest", events=[*at_once, broken])
    answer = server.call(f"{service}.PublishEvents", request)
    accepted(answer.results[:-1], at_once)
    assert answer.results[-1].error.code == "invalid_event", answer.results[-1]

    streamed = events_for("StreamEvents")
    requests_ = [
        server.message("eventrunner.v1.StreamEventsRequest", sequence=i, events=streamed[i : i + 3])
        for i in range(0, len(streamed), 3)
    ]
    answers = {a.sequence: a.results for a in server.call(f"{service}.StreamEvents", iter(requests_))}
    assert sorted(answers) == [r.sequence for r in requests_], answers
    for request in requests_:
        accepted(answers[request.sequence], list(request.events))
    return one_by_one + at_once + streamed


def subscribe(server: Server, expected: list[Message]) -> None:
    """Reads the stream from its beginning through a window smaller than what there is."""
    requests_: queue.SimpleQueue = queue.SimpleQueue()
    begin = server.message("eventrunner.v1.SubscribeOpen", after_sequence=0, max_unacked=5, sources=[SOURCE])
    requests_.put(server.message("eventrunner.v1.SubscribeRequest", open=begin))
    rpc = "eventrunner.v1.SubscribeService.Subscribe"
    call = server.call(rpc, iter(requests_.get, None))
    left = {event.id: plain(event) for event in expected}
    last = 0
    for answer in call:
        assert answer.sequence > last, f"{answer.sequence} after {last}"
        last = answer.sequence
        sent = left.pop(answer.event.id)
        assert plain(answer.event) == sent, f"sent {sent!r:.800}\nread {plain(answer.event)!r:.800}"
        server.driven[rpc] += 1
        if not left:
            break
        ack = server.message("eventrunner.v1.SubscribeAck", sequence=answer.sequence)
        requests_.put(server.message("eventrunner.v1.SubscribeRequest", ack=ack))
    requests_.put(None)
    call.cancel()
    assert not left, f"never came: {sorted(left)}"


def health(server: Server) -> None:
    """As a load balancer would ask, of the server and of each of its services."""
    services = ["", *(n for n in server.database.get_services() if n.startswith("eventrunner."))]
    assert len(services) > 1, services
    for service in services:
        request = server.message("grpc.health.v1.HealthCheckRequest", service=service)
        answers = {"Check": server.call("grpc.health.v1.Health.Check", request)}
        watch = server.call("grpc.health.v1.Health.Watch", request)
        answers["Watch"] = next(iter(watch))
        watch.cancel()
        for rpc, answer in answers.items():
            assert answer.status == 1, f"{rpc} {service!r}: {answer}"  # SERVING


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        cases = json.load(file)
    ingest, api = Server(sys.argv[2]), Server(sys.argv[3])
    events = publish(ingest, cases)
    for event in events:
        back = stored(event)
        assert back == event, f"sent {event!r:.1500}\nread {back!r:.1500}"
    subscribe(api, events)
    for server in (ingest, api):
        if any(rpc.startswith("grpc.health.") for rpc in server.rpcs()):
            health(server)
        left_out = server.rpcs() - set(server.driven)
        assert not left_out, f"not driven: {left_out}"
        for rpc, count in server.driven.items():
            print(json.dumps({"rpc": rpc, "events": count}))


if __name__ == "__main__":
    main()
