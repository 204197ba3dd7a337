{{/* What the chart knows of the service's configuration. */}}

{{/* Settings in force, as JSON: those of `config` over the service's defaults (files/settings.json, made from its schema). */}}
{{- define "tracetally.settings" -}}
{{- $made := .Files.Get "files/settings.json" | fromJson -}}
{{- mergeOverwrite $made.defaults (deepCopy .Values.config) | toJson -}}
{{- end -}}

{{/*
What lies in Secrets and is mounted, as JSON: a list of secret, key, the file's name and the setting that names it.
*/}}
{{- define "tracetally.secretFiles" -}}
{{- $files := list -}}
{{- $v := .Values -}}
{{- range $place := list
  (dict "of" $v.server.auth "key" "adminTokenKey" "file" "server-admin-token" "setting" "server.admin_token_file")
  (dict "of" $v.server.auth "key" "metricsTokenKey" "file" "server-metrics-token" "setting" "server.metrics_token_file")
  (dict "of" $v.server.tls "key" "certKey" "file" "server-cert.pem" "setting" "server.tls.cert_file")
  (dict "of" $v.server.tls "key" "keyKey" "file" "server-key.pem" "setting" "server.tls.key_file")
  (dict "of" $v.kafka.auth "key" "passwordKey" "file" "kafka-password" "setting" "kafka.sasl.password_file")
  (dict "of" $v.kafka.tls "key" "caKey" "file" "kafka-ca.pem" "setting" "kafka.tls.ca_file")
  (dict "of" $v.kafka.tls "key" "certKey" "file" "kafka-cert.pem" "setting" "kafka.tls.cert_file")
  (dict "of" $v.kafka.tls "key" "keyKey" "file" "kafka-key.pem" "setting" "kafka.tls.key_file")
  (dict "of" $v.schemaRegistry.auth "key" "passwordKey" "file" "schema-registry-password" "setting" "schema_registry.password_file")
  (dict "of" $v.schemaRegistry.tls "key" "caKey" "file" "schema-registry-ca.pem" "setting" "schema_registry.ca_file")
  (dict "of" $v.redis.auth "key" "passwordKey" "file" "redis-password" "setting" "redis.password_file")
  (dict "of" $v.redis.tls "key" "caKey" "file" "redis-ca.pem" "setting" "redis.tls.ca_file")
  (dict "of" $v.redis.tls "key" "certKey" "file" "redis-cert.pem" "setting" "redis.tls.cert_file")
  (dict "of" $v.redis.tls "key" "keyKey" "file" "redis-key.pem" "setting" "redis.tls.key_file")
-}}
{{- $key := get $place.of $place.key -}}
{{- if and $place.of.existingSecret $key -}}
{{- $files = append $files (dict "secret" $place.of.existingSecret "key" $key "file" $place.file "setting" $place.setting) -}}
{{- end -}}
{{- end -}}
{{- toJson $files -}}
{{- end -}}

{{- define "tracetally.secretsPath" -}}/etc/tracetally-secrets{{- end -}}

{{/* The configuration file, as JSON: `config` with the settings that follow from Secrets and from `overrides`. */}}
{{- define "tracetally.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $added := list -}}
{{- range include "tracetally.secretFiles" . | fromJsonArray -}}
{{- $added = append $added (list .setting (printf "%s/%s" (include "tracetally.secretsPath" $) .file)) -}}
{{- end -}}
{{- if .Values.kafka.tls.existingSecret -}}{{- $added = append $added (list "kafka.tls.enabled" true) -}}{{- end -}}
{{- if .Values.overrides -}}{{- $added = append $added (list "overrides.per_tenant_override_config" "/etc/tracetally/overrides.yaml") -}}{{- end -}}
{{- if .Values.redis.tls.existingSecret -}}{{- $added = append $added (list "redis.tls.enabled" true) -}}{{- end -}}
{{- range $added -}}
{{- $node := $config -}}
{{- $keys := splitList "." (first .) -}}
{{- range initial $keys -}}
{{- if not (get $node .) -}}{{- $_ := set $node . dict -}}{{- end -}}
{{- $node = get $node . -}}
{{- end -}}
{{- $_ := set $node (last $keys) (last .) -}}
{{- end -}}
{{- toJson $config -}}
{{- end -}}

{{/* What the HTTP server speaks: HTTP or HTTPS. */}}
{{- define "tracetally.scheme" -}}
{{- if or .Values.server.tls.existingSecret (dig "server" "tls" "cert_file" "" .Values.config) -}}HTTPS{{- else -}}HTTP{{- end -}}
{{- end -}}

{{/* "true" where the ledger lies in the memory of one replica, since no Redis is named anywhere. */}}
{{- define "tracetally.embedded" -}}
{{- $redis := .Values.config.redis | default dict -}}
{{- $named := or $redis.url $redis.cluster $redis.sentinels (and .Values.redis.auth.existingSecret .Values.redis.auth.urlKey) .Values.extraEnvFrom -}}
{{- range .Values.extraEnv -}}
{{- if has .name (list "TRACETALLY_REDIS_URL" "TRACETALLY_REDIS_CLUSTER" "TRACETALLY_REDIS_SENTINELS") -}}{{- $named = true -}}{{- end -}}
{{- end -}}
{{- if not $named }}true{{ end -}}
{{- end -}}

{{/* Labels of the dimensions in force, as a JSON list: an empty label takes the attribute's name, as the service does. */}}
{{- define "tracetally.dimensionLabels" -}}
{{- $made := .Files.Get "files/settings.json" | fromJson -}}
{{- $dimensions := dig "overrides" "defaults" "cost_attribution" "dimensions" $made.defaults.overrides.defaults.cost_attribution.dimensions .Values.config -}}
{{- $labels := list -}}
{{- range $attribute, $rule := $dimensions -}}
{{- $label := $rule -}}
{{- if kindIs "map" $rule -}}{{- $label = $rule.label -}}{{- end -}}
{{- if not $label -}}
{{- $label = ternary (trimPrefix "resource." $attribute) (trimPrefix "span." $attribute) (hasPrefix "resource." $attribute) -}}
{{- end -}}
{{- $label = regexReplaceAll "^[0-9]" (regexReplaceAll "[^A-Za-z0-9_]" $label "_") "_" -}}
{{- $labels = append $labels $label -}}
{{- end -}}
{{- $labels | uniq | sortAlpha | toJson -}}
{{- end -}}
