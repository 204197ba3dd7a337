{{/*
Combinations that cannot work, as a JSON list of sentences that name the value and the way out. What a value may be by
itself is in values.schema.json.
*/}}
{{- define "tracetally.problems" -}}
{{- $settings := include "tracetally.settings" . | fromJson -}}
{{- $problems := concat
  (include "tracetally.problems.replicas" . | fromJsonArray)
  (include "tracetally.problems.pod" (dict "root" . "settings" $settings) | fromJsonArray)
  (include "tracetally.problems.secrets" (dict "root" . "settings" $settings) | fromJsonArray)
  (include "tracetally.problems.scrape" (dict "root" . "settings" $settings) | fromJsonArray)
-}}
{{- toJson $problems -}}
{{- end -}}

{{- define "tracetally.problems.replicas" -}}
{{- $p := list -}}
{{- $v := .Values -}}
{{- $minor := regexFind "^[0-9]+" .Capabilities.KubeVersion.Minor | int -}}
{{- /* A Helm built without its version takes a cluster that it cannot ask for 1.20. */ -}}
{{- if and (eq .Capabilities.KubeVersion.Major "1") (lt $minor 25) (ne $minor 20) -}}
{{- $p = append $p (printf "Kubernetes is %s, and has to be 1.25 or newer" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- if and $v.autoscaling.enabled $v.keda.enabled -}}
{{- $p = append $p "autoscaling and keda are both enabled, and would work against each other: disable one" -}}
{{- end -}}
{{- if include "tracetally.embedded" . -}}
{{- $way := "set config.redis.url (or cluster, or sentinels; or redis.auth.existingSecret with urlKey)" -}}
{{- if include "tracetally.scaled" . -}}
{{- $p = append $p (printf "autoscaling or keda is enabled, and without a Redis the ledger lies in the memory of one replica: %s, or disable it" $way) -}}
{{- else if gt (int $v.replicaCount) 1 -}}
{{- $p = append $p (printf "replicaCount is %d, and without a Redis the ledger lies in the memory of one replica: %s, or set replicaCount to 1" (int $v.replicaCount) $way) -}}
{{- end -}}
{{- end -}}
{{- if and $v.autoscaling.enabled (gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas)) -}}
{{- $p = append $p "autoscaling.minReplicas is above autoscaling.maxReplicas" -}}
{{- end -}}
{{- if and $v.autoscaling.enabled (not $v.autoscaling.targetCPUUtilizationPercentage) (not $v.autoscaling.metrics) -}}
{{- $p = append $p "autoscaling has nothing to go by: set autoscaling.targetCPUUtilizationPercentage or autoscaling.metrics" -}}
{{- end -}}
{{- if and $v.autoscaling.enabled $v.autoscaling.targetCPUUtilizationPercentage (not (dig "requests" "cpu" "" $v.resources)) -}}
{{- $p = append $p "autoscaling.targetCPUUtilizationPercentage is a part of the request: set resources.requests.cpu" -}}
{{- end -}}
{{- if and $v.keda.enabled (gt (int $v.keda.minReplicaCount) (int $v.keda.maxReplicaCount)) -}}
{{- $p = append $p "keda.minReplicaCount is above keda.maxReplicaCount" -}}
{{- end -}}
{{- if and $v.keda.enabled (not $v.keda.serverAddress) (not $v.keda.triggers) -}}
{{- $p = append $p "keda has nowhere to ask for the lag: set keda.serverAddress to your Prometheus, or keda.triggers" -}}
{{- end -}}
{{- if and $v.overrides (dig "overrides" "per_tenant_override_config" "" $v.config) -}}
{{- $p = append $p "overrides and config.overrides.per_tenant_override_config both say where the settings of tenants are: leave one out" -}}
{{- end -}}
{{- with $v.podDisruptionBudget -}}
{{- if .enabled -}}
{{- $hasMin := not (kindIs "invalid" .minAvailable) -}}
{{- $hasMax := not (kindIs "invalid" .maxUnavailable) -}}
{{- if and $hasMin $hasMax -}}
{{- $p = append $p "podDisruptionBudget has both minAvailable and maxUnavailable: set maxUnavailable to null" -}}
{{- else if not (or $hasMin $hasMax) -}}
{{- $p = append $p "podDisruptionBudget needs maxUnavailable or minAvailable, or enabled: false" -}}
{{- end -}}
{{- $least := $v.replicaCount -}}
{{- if $v.autoscaling.enabled -}}{{- $least = $v.autoscaling.minReplicas -}}{{- end -}}
{{- if $v.keda.enabled -}}{{- $least = $v.keda.minReplicaCount -}}{{- end -}}
{{- $blocks := or (eq (toString .maxUnavailable) "0") (eq (toString .maxUnavailable) "0%") (eq (toString .minAvailable) "100%") -}}
{{- if and $hasMin (not (kindIs "string" .minAvailable)) (gt (int $least) 0) -}}{{- $blocks = or $blocks (ge (int .minAvailable) (int $least)) -}}{{- end -}}
{{- if $blocks -}}
{{- $p = append $p "podDisruptionBudget lets no replica go, so no node could ever be drained: use maxUnavailable: 1 (nothing is lost while a replica is away)" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $p -}}
{{- end -}}

{{- define "tracetally.problems.pod" -}}
{{- $p := list -}}
{{- $v := .root.Values -}}
{{- $server := .settings.server -}}
{{- with include "tracetally.seconds" $server.shutdown_timeout -}}
{{- $needed := add 5 (ceil (float64 .)) -}}
{{- if lt (int64 $v.terminationGracePeriodSeconds) $needed -}}
{{- $p = append $p (printf "terminationGracePeriodSeconds is %d, and config.server.shutdown_timeout is %v: the last flush would be cut off; set it to %d or more" (int64 $v.terminationGracePeriodSeconds) $server.shutdown_timeout $needed) -}}
{{- end -}}
{{- end -}}
{{- if eq (toString $server.port) "0" -}}
{{- $p = append $p "config.server.port is 0, and probes and scrapers need to know it: set a port" -}}
{{- end -}}
{{- if not (regexMatch "^[0-9]+$" (toJson $server.port)) -}}
{{- $p = append $p (printf "config.server.port is %v, and the chart needs to know it: write the number" $server.port) -}}
{{- end -}}
{{- if or (hasPrefix "127." $server.host) (has $server.host (list "localhost" "::1")) -}}
{{- $p = append $p (printf "config.server.host is %s, where neither probes nor scrapers can reach it: leave it out" $server.host) -}}
{{- end -}}
{{- with include "tracetally.heap" .root -}}
{{- $pending := include "tracetally.bytes" $.settings.ledger.max_pending_bytes -}}
{{- if and $pending (gt (float64 $pending) (mulf (float64 .) 786432.0)) -}}
{{- $p = append $p (printf "config.ledger.max_pending_bytes is %v, more than three quarters of the heap of %s MiB that resources.limits.memory and heapPercent leave: raise the limit or lower the setting" $.settings.ledger.max_pending_bytes .) -}}
{{- end -}}
{{- range $v.extraEnv -}}
{{- if eq .name "NODE_OPTIONS" -}}
{{- $p = append $p "extraEnv has NODE_OPTIONS, which the chart sets by heapPercent, too: set heapPercent to 0" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $v.extraEnv -}}
{{- if has .name (list "TRACETALLY_SERVER_HOST" "TRACETALLY_SERVER_PORT" "TRACETALLY_SERVER_SHUTDOWN_TIMEOUT" "TRACETALLY_PUBLISH_METRIC_PREFIX") -}}
{{- $p = append $p (printf "extraEnv has %s, which the chart needs to know: set it under config" .name) -}}
{{- end -}}
{{- end -}}
{{- if eq (toString $v.podSecurityContext.runAsUser) "0" -}}
{{- $p = append $p "podSecurityContext.runAsUser is 0: the service needs no root" -}}
{{- end -}}
{{- toJson $p -}}
{{- end -}}

{{- define "tracetally.problems.secrets" -}}
{{- $p := list -}}
{{- $v := .root.Values -}}
{{- $made := .root.Files.Get "files/settings.json" | fromJson -}}
{{- range $made.secrets -}}
{{- $value := $v.config -}}
{{- range splitList "." . -}}
{{- $value = ternary (get (default dict $value) .) "" (kindIs "map" $value) -}}
{{- end -}}
{{- $plain := regexReplaceAll "\\$\\{[^}]*\\}" (toString (default "" $value)) "" -}}
{{- if hasSuffix "url" . -}}{{- $plain = regexFind "://[^/@]*:[^/@]+@" $plain -}}{{- end -}}
{{- if $plain -}}
{{- $p = append $p (printf "config.%s holds a password, which would lie in a ConfigMap: put it into a Secret and name that one (kafka.auth, redis.auth, schemaRegistry.auth), or write ${VARIABLE} and set it by extraEnv from a Secret" .) -}}
{{- end -}}
{{- end -}}
{{- range include "tracetally.secretFiles" .root | fromJsonArray -}}
{{- $value := $v.config -}}
{{- range splitList "." .setting -}}
{{- $value = ternary (get (default dict $value) .) "" (kindIs "map" $value) -}}
{{- end -}}
{{- if $value -}}
{{- $p = append $p (printf "config.%s is set, and the Secret %s gives it, too: leave one out" .setting .secret) -}}
{{- end -}}
{{- end -}}
{{- if and $v.kafka.auth.existingSecret (not .settings.kafka.sasl.mechanism) -}}
{{- $p = append $p "kafka.auth.existingSecret is set, and config.kafka.sasl.mechanism is not: set it to plain, scram-sha-256 or scram-sha-512" -}}
{{- end -}}
{{- if and $v.kafka.auth.existingSecret (not $v.kafka.auth.usernameKey) (not .settings.kafka.sasl.username) -}}
{{- $p = append $p "kafka.auth.existingSecret is set without a user name: set kafka.auth.usernameKey or config.kafka.sasl.username" -}}
{{- end -}}
{{- $registry := $v.schemaRegistry -}}
{{- if and (or $registry.auth.existingSecret $registry.tls.existingSecret) (not .settings.schema_registry.url) -}}
{{- $p = append $p "schemaRegistry.auth or schemaRegistry.tls names a Secret, and there is no registry: set config.schema_registry.url" -}}
{{- end -}}
{{- if and $registry.auth.existingSecret (not $registry.auth.usernameKey) (not .settings.schema_registry.username) -}}
{{- $p = append $p "schemaRegistry.auth.existingSecret is set without a user name: set schemaRegistry.auth.usernameKey or config.schema_registry.username" -}}
{{- end -}}
{{- if and $v.redis.auth.existingSecret $v.redis.auth.urlKey .settings.redis.url -}}
{{- $p = append $p "config.redis.url is set, and redis.auth.urlKey gives it, too: leave one out" -}}
{{- end -}}
{{- if and (or $v.redis.auth.existingSecret $v.redis.tls.existingSecret) (include "tracetally.embedded" .root) -}}
{{- $p = append $p "redis.auth or redis.tls names a Secret, and there is no Redis: set config.redis.url, cluster or sentinels, or redis.auth.urlKey" -}}
{{- end -}}
{{- if and $v.server.auth.existingSecret (not $v.server.auth.adminTokenKey) (not $v.server.auth.metricsTokenKey) -}}
{{- $p = append $p "server.auth.existingSecret is set, and no key of it: set server.auth.adminTokenKey or server.auth.metricsTokenKey" -}}
{{- end -}}
{{- if and $v.server.tls.existingSecret (or (not $v.server.tls.certKey) (not $v.server.tls.keyKey)) -}}
{{- $p = append $p "server.tls.certKey and server.tls.keyKey go together, only one is set" -}}
{{- end -}}
{{- range $name := list "kafka" "redis" -}}
{{- $tls := (get $v $name).tls -}}
{{- if and $tls.existingSecret (ne (empty $tls.certKey) (empty $tls.keyKey)) -}}
{{- $p = append $p (printf "%s.tls.certKey and %s.tls.keyKey go together, only one is set" $name $name) -}}
{{- end -}}
{{- if and $tls.existingSecret (eq (toString (dig $name "tls" "enabled" "" $v.config)) "false") -}}
{{- $p = append $p (printf "config.%s.tls.enabled is false, and %s.tls.existingSecret enables it: leave one out" $name $name) -}}
{{- end -}}
{{- end -}}
{{- toJson $p -}}
{{- end -}}

{{- define "tracetally.problems.scrape" -}}
{{- $p := list -}}
{{- $v := .root.Values -}}
{{- $usage := $v.scrape.usage -}}
{{- if and $v.serviceMonitor.enabled $v.podMonitor.enabled -}}
{{- $p = append $p "serviceMonitor and podMonitor are both enabled, so that everything would be counted twice: disable one" -}}
{{- end -}}
{{- if or $v.serviceMonitor.enabled $v.podMonitor.enabled -}}
{{- if not (or $usage.enabled $v.scrape.self.enabled) -}}
{{- $p = append $p "a monitor is enabled, and scrape.usage.enabled and scrape.self.enabled are both false: enable one, or disable the monitor" -}}
{{- end -}}
{{- range $name := list "usage" "self" -}}
{{- $of := get $v.scrape $name -}}
{{- $interval := include "tracetally.seconds" $of.interval -}}
{{- $timeout := include "tracetally.seconds" $of.scrapeTimeout -}}
{{- if gt (float64 $timeout) (float64 $interval) -}}
{{- $p = append $p (printf "scrape.%s.scrapeTimeout (%s) is longer than scrape.%s.interval (%s): the operator refuses that" $name $of.scrapeTimeout $name $of.interval) -}}
{{- end -}}
{{- end -}}
{{- $hold := include "tracetally.seconds" .settings.publish.birth_hold -}}
{{- if and $hold (gt (float64 $hold) 0.0) (ge (float64 (include "tracetally.seconds" $usage.interval)) (float64 $hold)) -}}
{{- $p = append $p (printf "scrape.usage.interval (%s) is not shorter than config.publish.birth_hold (%v): increase() would miss what a new series begins with; shorten the one or raise the other" $usage.interval .settings.publish.birth_hold) -}}
{{- end -}}
{{- $limit := int64 $usage.sampleLimit -}}
{{- $series := .settings.usage.cost_attribution.max_cardinality -}}
{{- if and $limit (kindIs "float64" $series) (le $limit (mul 2 (int64 $series))) -}}
{{- $p = append $p (printf "scrape.usage.sampleLimit is %d, and one tenant may have %d series with two samples each (config.usage.cost_attribution.max_cardinality): every scrape would fail then; raise it, or use 0" $limit (int64 $series)) -}}
{{- end -}}
{{- end -}}
{{- range list "instance" "pod" -}}
{{- if has . $usage.dropTargetLabels -}}
{{- $p = append $p (printf "scrape.usage.dropTargetLabels has %s: targets would merge; scrape.usage.emptyLabels empties it on usage metrics alone" .) -}}
{{- end -}}
{{- end -}}
{{- toJson $p -}}
{{- end -}}
