"""Uses the API's tools as programs with a language model do, with the protocol's own client, in each of its two ways to begin.

    drive_mcp.py SOURCE ID

Where the API is and as whom is in EVENTRUNNER_API_URL and EVENTRUNNER_KEY. Writes a line of JSON for each way: {protocol,
tools, listed, event, hops, refused}.
"""

import asyncio
import json
import os
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

URL, KEY = f"{os.environ['EVENTRUNNER_API_URL']}/mcp", os.environ["EVENTRUNNER_KEY"]


async def drive(mode: str, source: str, event_id: str) -> dict:
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {KEY}"}) as http:
        async with Client(streamable_http_client(URL, http_client=http), mode=mode) as client:
            tools = (await client.list_tools()).tools
            identity = {"source": source, "id": event_id}
            listed = await client.call_tool("list_events", {"source": [source], "limit": 10})
            event = await client.call_tool("get_event", identity)
            receipt = await client.call_tool("get_receipt", identity)
            refused = await client.call_tool("get_event", {"source": source, "id": "nothing"})
            assert not (listed.is_error or event.is_error or receipt.is_error), (listed, event, receipt)
            assert refused.is_error, refused
            return {
                "protocol": client.protocol_version,
                "tools": sorted(tool.name for tool in tools),
                "listed": [item["event"]["id"] for item in listed.structured_content["events"]],
                "event": event.structured_content,
                "hops": [hop["hop"] for hop in receipt.structured_content["hops"]],
                "refused": refused.structured_content["code"],
            }


for way in ["legacy", "auto"]:
    print(json.dumps(asyncio.run(drive(way, *sys.argv[1:]))))
