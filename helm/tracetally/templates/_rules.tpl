{{/*
A file of rules for this installation, as groups in YAML: with the prefix of its metrics and the address of its
runbooks, without the alerts that are disabled, with the labels for all alerts. Takes root, text and prefix.
*/}}
{{- define "tracetally.rules" -}}
{{- $values := .root.Values.prometheusRule -}}
{{- $text := replace "tempo_usage_tracker" .prefix .text -}}
{{- with $values.runbookUrl -}}{{- $text = replace "docs/runbooks.md#" (printf "%s#" .) $text -}}{{- end -}}
{{- $groups := list -}}
{{- range (fromYaml $text).groups -}}
{{- $rules := list -}}
{{- range .rules -}}
{{- if and .alert $values.alertLabels -}}
{{- $_ := set . "labels" (merge (deepCopy $values.alertLabels) (.labels | default dict)) -}}
{{- end -}}
{{- if not (and .alert (has .alert $values.disabledAlerts)) -}}{{- $rules = append $rules . -}}{{- end -}}
{{- end -}}
{{- if $rules -}}{{- $groups = append $groups (set . "rules" $rules) -}}{{- end -}}
{{- end -}}
{{- with $groups -}}{{- toYaml . -}}{{- end -}}
{{- end -}}
