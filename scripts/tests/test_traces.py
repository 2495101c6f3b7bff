"""Traces, metrics and logs of a real fleet in a real OpenTelemetry collector."""

import json
import os
import subprocess
import threading
import unittest
import uuid
from collections.abc import Iterator

import grpc
import requests
from collector import PROGRAM, Collector, Span
from fleet import Fleet, binary
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5
CALLER = "b7ad6b7169203331"
TYPE = "com.example.traced"
READ_BY_GRPC = "com.example.traced.grpc"


def parent(trace: str, flags: str = "01") -> str:
    return f"00-{trace}-{CALLER}-{flags}"


@unittest.skipUnless(PROGRAM.exists() or os.environ.get("CI") == "true", "there is no collector: scripts/tools.sh otel")
class Traces(unittest.TestCase):
    """One fleet in one process, over HTTP."""

    protocol = "http/protobuf"
    form: tuple[str, ...] = ()

    @classmethod
    def setUpClass(cls) -> None:
        cls.collector = Collector()
        cls.addClassCleanup(cls.collector.stop)
        url = cls.collector.http_url if cls.protocol == "http/protobuf" else cls.collector.grpc_url
        settings = {
            "otlp_endpoint": url,
            "otlp_protocol": cls.protocol,
            # Only what a caller asks for.
            "sample_ratio": "0",
            "metrics_interval_seconds": "1",
            "trace_url": "https://traces.example.com/{trace_id}",
        }
        flags = [part for key, value in settings.items() for part in ("--set", f"telemetry.{key}={value}")]
        cls.fleet = Fleet(binary("eventrunner"), "--verbose", *flags, *cls.form)
        cls.addClassCleanup(cls.fleet.stop)
        cls.session = requests.Session()
        cls.session.headers["authorization"] = f"Bearer {cls.fleet.env['KEY']}"

    def publish(self, header: str | None, event_id: str, **attributes: str) -> dict:
        headers = {"ce-specversion": "1.0", "ce-id": event_id, "ce-source": "/traces", "ce-type": TYPE}
        headers |= {f"ce-{name}": value for name, value in attributes.items()} | {"content-type": "application/json"}
        if header:
            headers["traceparent"] = header
        answer = self.session.post(f"{self.fleet.env['URL']}/v1/events", headers=headers, data="{}", timeout=30)
        self.assertEqual(answer.status_code, 202, answer.text)
        return answer.json()

    def read_by_sse(self, trace: str, send) -> tuple[dict, str]:
        """Opens a stream, sends, and gives the event that comes with the `traceparent` it comes with."""
        answer = self.session.get(f"{self.fleet.env['API']}/api/v1/streams/events", params={"type": TYPE}, stream=True, timeout=60)
        with answer:
            self.assertEqual(answer.status_code, 200, answer.reason)
            lines = answer.iter_lines(chunk_size=1, decode_unicode=True)
            next(lines)
            event_id = send()
            context = ""
            for line in lines:
                if line.startswith("traceparent: "):
                    context = line.removeprefix("traceparent: ")
                if line.startswith("data: ") and (event := json.loads(line.removeprefix("data: ")))["id"] == event_id:
                    self.assertEqual(context.split("-")[1:2], [trace])
                    return event, context
        self.fail("the stream ended")

    def spans(self, trace: str, *names: str) -> dict[str, Span]:
        """The trace's spans by name, once they are there."""
        there = lambda: {str(span) for span in self.collector.spans(trace)}
        self.collector.wait(lambda: set(names) <= there(), f"not all of {names}")
        spans = self.collector.spans(trace)
        self.assertEqual(sorted(map(str, spans)), sorted(names), "nothing is there twice, or besides")
        return {str(span): span for span in spans}

    def in_a_row(self, spans: list[Span]) -> None:
        """Each is the child of the one before."""
        for before, after in zip(spans, spans[1:], strict=False):
            self.assertEqual(after.parent, before.id, f"{before} → {after}")
            self.assertGreaterEqual(after.start, before.start)
        for span in spans:
            self.assertFalse(span.failed, span)
            if span.kind == CONSUMER:
                self.assertIn((span.trace, span.parent), span.links, "it is linked to what it works on")
                self.assertEqual(span.attributes["messaging.system"], "nats")
                self.assertEqual(span.attributes["messaging.operation.type"], "process")

    def test_an_event_over_http_is_followed_to_its_reader(self) -> None:
        trace, event_id, origin = uuid.uuid4().hex, uuid.uuid4().hex, uuid.uuid4().hex
        own = f"00-{origin}-00f067aa0ba902b7-01"

        def send() -> str:
            self.assertEqual(self.publish(parent(trace), event_id, traceparent=own)["trace_id"], trace)
            return event_id

        event, context = self.read_by_sse(trace, send)
        self.assertEqual(event["traceparent"], own, "where the event began is the event's own, and stays")
        spans = self.spans(
            trace,
            "eventrunner-ingest-http: POST /v1/events",
            "eventrunner-ingest-http: publish EVENTS",
            "eventrunner-engine: process EVENTS",
            "eventrunner-engine: publish TENANT-default",
            "eventrunner-engine: store and meter",
            "eventrunner-api: process TENANT-default",
        )
        way = list(spans.values())
        door, sent, worked, streamed, stored, read = (
            next(span for span in way if str(span).endswith(name))
            for name in ("POST /v1/events", "publish EVENTS", "process EVENTS", "publish TENANT-default", "store and meter", "process TENANT-default")
        )
        self.assertEqual((door.parent, door.kind, sent.kind, worked.kind, read.kind), (CALLER, SERVER, PRODUCER, CONSUMER, CONSUMER))
        self.in_a_row([door, sent, worked, streamed, read])
        self.in_a_row([worked, stored])
        self.assertEqual(context.split("-")[2], read.id, "the reader goes on from the last hop")
        self.assertIn((origin, "00f067aa0ba902b7"), worked.links, "and the event's own beginning is linked")
        self.assertEqual(door.attributes["http.route"], "/v1/events")
        self.assertEqual(int(door.attributes["http.response.status_code"]), 202)
        for span in (worked, streamed, read):
            self.assertEqual(span.attributes["cloudevents.event_id"], event_id)
        self.receipt(event_id, trace)

    def receipt(self, event_id: str, trace: str) -> None:
        answer = self.session.get(f"{self.fleet.env['API']}/api/v1/events/%2Ftraces/{event_id}/receipt", timeout=30)
        self.assertEqual(answer.status_code, 200, answer.text)
        receipt = answer.json()
        self.assertEqual((receipt["trace_id"], receipt["trace_sampled"]), (trace, True))
        self.assertEqual(receipt["trace_url"], f"https://traces.example.com/{trace}")

    def test_an_event_over_grpc_is_followed_to_its_reader(self) -> None:
        trace, event_id = uuid.uuid4().hex, uuid.uuid4().hex
        port = int(self.fleet.env["URL"].rsplit(":", 1)[1]) + 2
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
            method = pool.FindMethodByName("eventrunner.v1.EventIngestService.PublishEvent")
            request = message_factory.GetMessageClass(method.input_type)()
            request.event.id, request.event.source, request.event.type = event_id, "/traces", READ_BY_GRPC
            request.event.spec_version = "1.0"
            call = channel.unary_unary(
                "/eventrunner.v1.EventIngestService/PublishEvent",
                request_serializer=lambda m: m.SerializeToString(),
                response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
            )

            metadata = (("authorization", f"Bearer {self.fleet.env['KEY']}"), ("traceparent", parent(trace)))
            self.assertEqual(call(request, timeout=30, metadata=metadata).trace_id, trace)
        context = self.read_by_grpc(event_id)
        names = ["PublishEvent", "publish EVENTS", "process EVENTS", "publish TENANT-default", "process TENANT-default"]
        spans = self.spans(
            trace,
            "eventrunner-ingest-grpc: eventrunner.v1.EventIngestService/PublishEvent",
            "eventrunner-ingest-grpc: publish EVENTS",
            "eventrunner-engine: process EVENTS",
            "eventrunner-engine: publish TENANT-default",
            "eventrunner-engine: store and meter",
            "eventrunner-api: process TENANT-default",
        )
        way = [next(span for label, span in spans.items() if label.endswith(name)) for name in names]
        self.in_a_row(way)
        self.assertEqual((way[0].kind, way[0].parent), (SERVER, CALLER))
        self.assertEqual(context.split("-")[1:3], [trace, way[-1].id])
        self.assertEqual(way[0].attributes["rpc.method"], "PublishEvent")

    def read_by_grpc(self, event_id: str) -> str:
        """Reads the tenant's stream from its beginning up to an event, and gives the `traceparent` it comes with."""
        with grpc.insecure_channel(self.fleet.env["API"].removeprefix("http://")) as channel:
            pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
            method = pool.FindMethodByName("eventrunner.v1.SubscribeService.Subscribe")
            opening = message_factory.GetMessageClass(method.input_type)()
            opening.open.after_sequence = 0
            # Only those: whatever is read leaves a span.
            opening.open.types.append(READ_BY_GRPC)
            subscribe = channel.stream_stream(
                "/eventrunner.v1.SubscribeService/Subscribe",
                request_serializer=lambda m: m.SerializeToString(),
                response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
            )
            done = threading.Event()

            def requests_() -> Iterator:
                yield opening
                done.wait(60)

            metadata = (("authorization", f"Bearer {self.fleet.env['KEY']}"),)
            for response in subscribe(requests_(), timeout=60, metadata=metadata):
                if response.event.id == event_id:
                    done.set()
                    return response.traceparent
        self.fail("the stream ended")

    def test_readers_of_a_packed_stream_hang_on_what_was_published(self) -> None:
        key = self.packed_tenant()
        trace, event_id = uuid.uuid4().hex, uuid.uuid4().hex
        before = dict(self.session.headers)
        self.session.headers["authorization"] = f"Bearer {key}"
        try:
            _, context = self.read_by_sse(trace, lambda: self.publish(parent(trace), event_id) and event_id)
        finally:
            self.session.headers.update(before)
        self.collector.wait(lambda: len(self.collector.spans(trace)) == 6, "not all spans")
        spans = {span.name: span for span in self.collector.spans(trace)}
        read = spans["process TENANT-default"]
        self.in_a_row([spans["POST /v1/events"], spans["publish EVENTS"], read])
        self.assertEqual(context.split("-")[2], read.id)
        self.assertEqual(read.attributes["eventrunner.tenant"], "packed")

    def packed_tenant(self) -> str:
        """Makes a tenant whose stream is packed, and gives its key."""
        run = lambda *words: subprocess.run(
            ["eventrunner", "--output", "json", *words], env=self.fleet.env, capture_output=True, text=True, check=True
        ).stdout
        run("tenants", "create", "packed", "--tenant-stream", "packed")
        run("systems", "create", "shop", "--tenant", "packed")
        scopes = ("--scope", "publish", "--scope", "read")
        return json.loads(run("keys", "create", "--tenant", "packed", "--system", "shop", *scopes))["key"]

    def test_what_the_normalizer_maps_shows_that_hop(self) -> None:
        trace = uuid.uuid4().hex
        answer = self.session.post(
            f"{self.fleet.env['URL']}/v1/events",
            headers={"content-type": "application/json", "traceparent": parent(trace)},
            data='{"raw": true}',
            timeout=30,
        )
        self.assertEqual(answer.status_code, 202, answer.text)
        spans = self.spans(
            trace,
            "eventrunner-ingest-http: POST /v1/events",
            "eventrunner-ingest-http: publish RAW",
            "eventrunner-normalizer: process RAW",
            "eventrunner-normalizer: publish EVENTS",
            "eventrunner-engine: process EVENTS",
            "eventrunner-engine: publish TENANT-default",
            "eventrunner-engine: store and meter",
        )
        stages = ("POST /v1/events", "publish RAW", "process RAW", "publish EVENTS", "process EVENTS", "publish TENANT-default")
        self.in_a_row([next(s for label, s in spans.items() if label.endswith(stage)) for stage in stages])

    def test_what_nobody_traces_leaves_no_span(self) -> None:
        quiet = [uuid.uuid4().hex for _ in range(2)]
        self.publish(parent(quiet[0], "00"), quiet[0])
        quiet[1] = self.publish(None, quiet[1])["trace_id"]
        loud = uuid.uuid4().hex
        self.publish(parent(loud), loud)
        self.collector.wait(
            lambda: any(span.name == "store and meter" for span in self.collector.spans(loud)), "not even what is traced"
        )
        for trace in quiet:
            self.assertEqual(self.collector.spans(trace), [])

    def test_metrics_arrive_with_exemplars(self) -> None:
        trace = uuid.uuid4().hex
        self.publish(parent(trace), trace)
        names = ("eventrunner_ingest_request_duration_seconds", "eventrunner_engine_duration_seconds")

        def exemplars(name: str) -> set[str]:
            points = [p for _, metric in self.collector.metrics().get(name, []) for p in metric["histogram"]["dataPoints"]]
            return {exemplar["traceId"] for point in points for exemplar in point.get("exemplars", [])}

        for name in names:
            self.collector.wait(lambda name=name: trace in exemplars(name), f"no exemplar of {name}")
        resource, metric = self.collector.metrics()["eventrunner_engine_stored_events_total"][-1]
        self.assertTrue(metric["sum"]["isMonotonic"])
        self.assertEqual(resource["service.namespace"], "eventrunner")
        self.assertTrue(resource["service.version"] and resource["service.instance.id"])
        unit = self.collector.metrics()["eventrunner_process_resident_bytes"][-1][1]["unit"]
        self.assertEqual(unit, "By")

    def test_logs_arrive(self) -> None:
        self.collector.wait(lambda: self.collector.logs(), "no log")
        resource, record = self.collector.logs()[0]
        self.assertTrue(resource["service.name"].startswith("eventrunner"))
        self.assertTrue(record["body"]["stringValue"] and record["severityText"] in ("INFO", "WARN"))


class TracesOverGrpc(Traces):
    """The same over OTLP's other protocol."""

    protocol = "grpc"


@unittest.skipUnless(PROGRAM.exists() or os.environ.get("CI") == "true", "there is no collector: scripts/tools.sh otel")
class Encrypted(unittest.TestCase):
    """A collector that shows a certificate, over both protocols."""

    def sent(self, collector: Collector, protocol: str, *trusting: str) -> Fleet:
        settings = (f"telemetry.otlp_endpoint={collector.encrypted_url(protocol)}", f"telemetry.otlp_protocol={protocol}", *trusting)
        flags = [part for setting in settings for part in ("--set", setting)]
        fleet = Fleet(binary("eventrunner"), "--verbose", *flags)
        self.addCleanup(fleet.stop)
        return fleet

    def test_it_is_believed_by_who_vouches_for_it(self) -> None:
        for protocol in ("grpc", "http/protobuf"):
            with self.subTest(protocol):
                collector = Collector()
                self.addCleanup(collector.stop)
                fleet = self.sent(collector, protocol, f"telemetry.otlp_ca_file={collector.ca_file}")
                trace = uuid.uuid4().hex
                headers = {"authorization": f"Bearer {fleet.env['KEY']}", "traceparent": parent(trace)}
                answer = requests.post(f"{fleet.env['URL']}/v1/events", headers=headers, data="raw", timeout=30)
                self.assertEqual(answer.status_code, 202, answer.text)
                collector.wait(lambda collector=collector, trace=trace: len(collector.spans(trace)) == 7, "not all spans")
                collector.wait(lambda collector=collector: collector.logs(), "no log")
                self.assertNotIn("telemetry is not taken", fleet.said())

    def test_one_that_nobody_vouches_for_gets_nothing(self) -> None:
        for protocol in ("grpc", "http/protobuf"):
            with self.subTest(protocol):
                collector = Collector()
                self.addCleanup(collector.stop)
                fleet = self.sent(collector, protocol)
                collector.wait(lambda fleet=fleet: "telemetry is not taken" in fleet.said(), "nothing is said")
                self.assertRegex(fleet.said(), r"telemetry is not taken.*(?i:certificate|UnknownIssuer)")
                self.assertEqual(list(collector.received("resourceLogs")), [])


@unittest.skipUnless(PROGRAM.exists() or os.environ.get("CI") == "true", "there is no collector: scripts/tools.sh otel")
class Processes(unittest.TestCase):
    """Services in processes of their own, those that need no store of their own."""

    def test_each_process_sends_its_part(self) -> None:
        collector = Collector()
        self.addCleanup(collector.stop)
        settings = (f"telemetry.otlp_endpoint={collector.http_url}", "telemetry.metrics_interval_seconds=1")
        flags = [part for setting in settings for part in ("--set", setting)]
        fleet = Fleet(binary("eventrunner"), "--processes", "--replicas", "engine=0,api=0,billing=0", *flags)
        self.addCleanup(fleet.stop)
        trace = uuid.uuid4().hex
        headers = {"authorization": f"Bearer {fleet.env['KEY']}", "traceparent": parent(trace)}
        answer = requests.post(f"{fleet.env['URL']}/v1/events", headers=headers, data="raw", timeout=30)
        self.assertEqual(answer.status_code, 202, answer.text)
        ways = [
            "eventrunner-ingest-http: POST /v1/events",
            "eventrunner-ingest-http: publish RAW",
            "eventrunner-normalizer: process RAW",
            "eventrunner-normalizer: publish EVENTS",
        ]
        collector.wait(lambda: len(collector.spans(trace)) >= len(ways), "not all spans")
        spans = {str(span): span for span in collector.spans(trace)}
        self.assertEqual(sorted(spans), sorted(ways))
        for before, after in zip(ways, ways[1:], strict=False):
            self.assertEqual(spans[after].parent, spans[before].id)
        tellers = lambda kind: {resource["service.name"] for resource, _ in collector.received(kind)}
        services = {"eventrunner-ingest-http", "eventrunner-ingest-grpc", "eventrunner-normalizer", "eventrunner"}
        collector.wait(lambda: services <= tellers("resourceMetrics"), "not every process sends metrics")
        collector.wait(lambda: {"eventrunner-ingest-http"} <= tellers("resourceLogs"), "a process sends no logs")


if __name__ == "__main__":
    unittest.main()
