"""The benchmark's own parts: a load generator that miscounts would make every number worthless."""

import asyncio

from benchmarks.load import Target, load
from benchmarks.serving import CASES, Measured, Result


async def test_our_client_counts_answers_and_failures() -> None:
    served = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"POST /predict HTTP/1.1\r\n")
                await reader.readexactly(2)
                served += 1
                status = b"503 Busy" if served % 2 else b"200 OK"
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Le")
                await asyncio.sleep(0.001)
                writer.write(b"ngth: 2\r\n\r\n{}")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        target = Target(port=port, path="/predict", body="{}", headers={"X-API-Key": "k"})
        result = await load(target, connections=4, seconds=0.3)
        await asyncio.sleep(0.05)

    assert served - 4 <= result.requests <= served
    assert abs(result.failed - result.requests / 2) <= 4
    assert 1 <= result.p50_ms <= result.p99_ms


def test_the_summary_takes_medians_and_adds_up_failures() -> None:
    measured = Measured()
    measured.ready_s, measured.rss_mib = [1.0, 3.0, 2.0], [70.0, 80.0]
    for case in CASES:
        for requests, failed in ((100, 0), (300, 1), (200, 0)):
            measured.results[case].append(Result(requests=requests, failed=failed, seconds=1, p50_ms=1, p99_ms=2))
            measured.cpu_us[case].append(50.0)
            measured.held_up[case].append(0.1)

    summary = measured.summary()

    assert (summary["ready_s"], summary["rss_mib"]) == (2.0, 80.0)
    assert {(case["rate"], case["failed"]) for case in summary["cases"].values()} == {(200.0, 1)}
