#!/usr/bin/env bash
# Runs a small Apache Cassandra in the foreground: `scripts/cassandra.sh DIR PORT`. For tests and trials.
#
# The shell becomes the server, so this process's id is the server's. It is ready when DIR/log says "Starting listening
# for CQL clients". The same DIR again goes on with the same data; SIGTERM stops it in order, and after SIGKILL the
# commit log is replayed. It listens on loopback only.
#
# From the environment, each optional:
#   ADDRESS=127.0.0.1  GOSSIP_PORT=PORT+1  SEED=ADDRESS   a cluster: 127.0.0.1, .2, .3 with one PORT, one GOSSIP_PORT
#                                                       and the SEED 127.0.0.1, which is started first
#   HEAP=384m          the Java heap
#   SYNC=batch         or periodic, group: when a write is acknowledged, beside its fsync
#   LONG_RUN=1         the optimizing compiler: slower to start, faster afterwards
#   CONFIG=...         lines for the end of cassandra.yaml
#   ENDS_WITH_STDIN=1  kill the server when standard input ends: it does not outlive whoever holds the other end
set -euo pipefail

dir="${1:?usage: cassandra.sh DIR PORT}"
port="${2:?usage: cassandra.sh DIR PORT}"
address="${ADDRESS:-127.0.0.1}"
gossip_port="${GOSSIP_PORT:-$((port + 1))}"
jars="${XDG_CACHE_HOME:-$HOME/.cache}/eventrunner/cassandra"
[ -e "$jars/pom.xml" ] || { echo "there is no Cassandra: run scripts/tools.sh cassandra" >&2; exit 69; }
mkdir -p "$dir/tmp"
dir="$(cd "$dir" && pwd)"

case "${SYNC:-batch}" in
batch) sync="commitlog_sync: batch" ;;
group) sync=$'commitlog_sync: group\ncommitlog_sync_group_window: 5ms' ;;
*) sync=$'commitlog_sync: periodic\ncommitlog_sync_period: 1000ms' ;;
esac

# `die`: a server whose disk fails or is full ends, instead of going on without its log.
cat >"$dir/cassandra.yaml" <<YAML
cluster_name: eventrunner
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
num_tokens: 1
auto_bootstrap: false
listen_address: $address
rpc_address: $address
storage_port: $gossip_port
native_transport_port: $port
endpoint_snitch: SimpleSnitch
dynamic_snitch: false
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: "${SEED:-$address}:$gossip_port"
storage_compatibility_mode: NONE
$sync
commitlog_segment_size: 16MiB
commitlog_total_space: 256MiB
disk_failure_policy: die
commit_failure_policy: die
memtable_heap_space: 96MiB
memtable_offheap_space: 96MiB
memtable_allocation_type: heap_buffers
memtable_flush_writers: 1
key_cache_size: 8MiB
row_cache_size: 0MiB
counter_cache_size: 0MiB
file_cache_size: 32MiB
networking_cache_size: 16MiB
concurrent_reads: 16
concurrent_writes: 64
concurrent_counter_writes: 2
concurrent_materialized_view_writes: 2
concurrent_compactors: 1
compaction_throughput: 0MiB/s
native_transport_max_threads: 64
disk_access_mode: standard
auto_snapshot: false
read_request_timeout: 5s
range_request_timeout: 10s
write_request_timeout: 5s
truncate_request_timeout: 30s
request_timeout: 10s
${CONFIG:-}
YAML

cat >"$dir/logback.xml" <<'XML'
<configuration>
  <shutdownHook class="ch.qos.logback.core.hook.DefaultShutdownHook"/>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%-5level %date{ISO8601} [%thread] %F:%L - %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="out"/></root>
</configuration>
XML

if [ -n "${ENDS_WITH_STDIN:-}" ]; then
    server=$$
    # A child of the server-to-be. Once the server is gone it has another parent, and its id may be somebody else's.
    exec 3<&0
    (
        watcher=$BASHPID
        cat <&3 >/dev/null || true
        [ "$(ps -o ppid= -p "$watcher" | tr -d ' ')" = "$server" ] && kill -KILL "$server"
    ) >/dev/null 2>&1 &
    exec 3<&- </dev/null
fi

# What Cassandra's own jvm17-server.options open of the JDK.
flags=()
for name in java.base/jdk.internal.misc java.management.rmi/com.sun.jmx.remote.internal.rmi \
    java.rmi/sun.rmi.registry java.rmi/sun.rmi.server java.sql/java.sql java.base/java.lang.ref \
    jdk.unsupported/sun.misc jdk.compiler/com.sun.tools.javac.file jdk.attach/sun.tools.attach; do
    flags+=(--add-exports "$name=ALL-UNNAMED")
done
for name in java.base/java.lang.module java.base/jdk.internal.loader java.base/jdk.internal.ref \
    java.base/jdk.internal.reflect java.base/jdk.internal.math java.base/jdk.internal.module \
    java.base/jdk.internal.util.jar jdk.management/com.sun.management.internal java.base/sun.nio.ch \
    java.base/java.io java.base/java.lang.reflect jdk.compiler/com.sun.tools.javac java.base/java.lang \
    java.base/java.util java.base/java.nio; do
    flags+=(--add-opens "$name=ALL-UNNAMED")
done
if [ -n "${LONG_RUN:-}" ]; then
    flags+=(-XX:+UseParallelGC)
else
    flags+=(-XX:+UseSerialGC -XX:TieredStopAtLevel=1)
fi

# A small first heap: Cassandra locks it into memory.
exec java "${flags[@]}" -Xms96m -Xmx"${HEAP:-384m}" -Xss256k -XX:MaxDirectMemorySize=256m \
    -XX:+PerfDisableSharedMem -XX:+ExitOnOutOfMemoryError -Djava.net.preferIPv4Stack=true \
    -Djdk.attach.allowAttachSelf=true -Dio.netty.tryReflectionSetAccessible=true \
    -Dio.netty.allocator.maxOrder=7 -javaagent:"$(echo "$jars"/jamm-*.jar)" \
    -Djava.io.tmpdir="$dir/tmp" -Djna.tmpdir="$dir/tmp" \
    -Dcassandra.config="file://$dir/cassandra.yaml" -Dcassandra.storagedir="$dir" \
    -Dlogback.configurationFile="file://$dir/logback.xml" \
    -Dcassandra.ring_delay_ms=1000 -Dcassandra.skip_wait_for_gossip_to_settle=0 \
    -Dcassandra.superuser_setup_delay_ms=0 -Dcassandra.libjemalloc=- -Dcassandra-foreground=yes \
    -cp "$jars/*" org.apache.cassandra.service.CassandraDaemon
