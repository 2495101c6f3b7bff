#!/usr/bin/env python3
"""Runs the ClickHouse engine of the npm package that `scripts/tools.sh clickhouse` installs, as a server on loopback.

    scripts/clickhouse.py LIBRARY DIR HTTP_PORT TCP_PORT [ENGINE OPTION...]

The package holds the whole engine as a library with an entry for its command line; a server is that command line told to
listen and to go on with a query that does not end. For tests and trials only: production runs a ClickHouse server.

With EVENTRUNNER_TEMPORARY=FOLDER it ends when its standard input closes, which it does when whoever started it is gone,
however that ended, and takes FOLDER with it.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading

SERVE = (
    "SYSTEM START LISTEN QUERIES ALL; "
    "SELECT sleepEachRow(1) FROM system.numbers FORMAT Null SETTINGS max_block_size = 1, max_threads = 1"
)


def end_with(starter: int, folder: str) -> None:
    while os.read(starter, 4096):
        pass
    own = os.getpid()
    clean_up = 'while kill -0 "$1" 2>/dev/null; do sleep 0.1; done; rm -rf "$2"'
    subprocess.Popen(["sh", "-c", clean_up, "sh", str(own), folder], start_new_session=True)
    os.kill(own, signal.SIGKILL)


def main() -> int:
    if len(sys.argv) < 5:
        print(__doc__, file=sys.stderr)
        return 64
    library, folder, http_port, tcp_port, *options = sys.argv[1:]
    if temporary := os.environ.get("EVENTRUNNER_TEMPORARY"):
        threading.Thread(target=end_with, args=[os.dup(0), temporary], daemon=True).start()
    # The engine would wait for more queries there.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    # The main thread stays in the engine, where Python's own handlers would wait for ever.
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_DFL)
    engine = ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
    engine.chdb_query_cmdline.restype = ctypes.c_void_p
    engine.chdb_result_error.argtypes = [ctypes.c_void_p]
    engine.chdb_result_error.restype = ctypes.c_char_p
    arguments = [
        "clickhouse",
        f"--path={folder}",
        f"--http_port={http_port}",
        f"--tcp_port={tcp_port}",
        "--listen_host=127.0.0.1",
        *options,
        "--query",
        SERVE,
    ]
    argv = (ctypes.c_char_p * (len(arguments) + 1))(*(argument.encode() for argument in arguments), None)
    result = engine.chdb_query_cmdline(len(arguments), argv)
    error = engine.chdb_result_error(result) if result else b"the engine gave no result"
    print("ended:", (error or b"the query ended").decode(errors="replace"), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
