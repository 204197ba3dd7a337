#!/bin/sh
# Gives the user of Tracetally all that it needs of Kafka, and nothing else: to read its topics, and to read and commit
# as its group; with kafka.on_bad_record: dead_letter, to write to the dead-letter topic. (In Kafka, Read and Write bring
# Describe along.) Run it as somebody who may Alter the cluster:
#
#   BOOTSTRAP=kafka:9092 ADMIN_CONFIG=admin.properties PRINCIPAL=User:tracetally \
#   TOPICS="otlp_spans" GROUP=tracetally DEAD_LETTER_TOPIC=otlp_spans_dead sh acls.sh
set -eu

: "${KAFKA_ACLS:=kafka-acls.sh}"
: "${BOOTSTRAP:=localhost:9092}"
: "${ADMIN_CONFIG:=}"
: "${PRINCIPAL:=User:tracetally}"
: "${TOPICS:=otlp_spans}"
: "${GROUP:=tracetally}"
: "${DEAD_LETTER_TOPIC:=}"

set -- --bootstrap-server "$BOOTSTRAP"
if [ -n "$ADMIN_CONFIG" ]; then set -- "$@" --command-config "$ADMIN_CONFIG"; fi
if [ -n "$DEAD_LETTER_TOPIC" ]; then
  "$KAFKA_ACLS" "$@" --add --allow-principal "$PRINCIPAL" --operation Write --topic "$DEAD_LETTER_TOPIC"
fi
set -- "$@" --add --allow-principal "$PRINCIPAL" --operation Read --group "$GROUP"
for topic in $TOPICS; do set -- "$@" --topic "$topic"; done

exec "$KAFKA_ACLS" "$@"
