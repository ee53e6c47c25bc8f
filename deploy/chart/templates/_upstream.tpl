{{- /* The classic set around the driver. Versions: values, upstream. */ -}}
{{- define "holdfast.sidecar" -}}
- name: {{ .name }}
  image: {{ include "holdfast.upstreamImage" . }}
  args:
    {{- toYaml .args | nindent 4 }}
  env:
    - name: NODE_NAME
      valueFrom:
        fieldRef:
          fieldPath: spec.nodeName
    - name: NAMESPACE
      valueFrom:
        fieldRef:
          fieldPath: metadata.namespace
    - name: POD_NAME
      valueFrom:
        fieldRef:
          fieldPath: metadata.name
  securityContext:
    {{- include "holdfast.confined" . | nindent 4 }}
  volumeMounts:
    {{- toYaml .mounts | nindent 4 }}
{{- end -}}

{{- define "holdfast.upstreamNode" -}}
{{- $local := not (include "holdfast.shared" .) -}}
{{- $dir := include "holdfast.pluginDir" . -}}
{{- $socket := printf "--csi-address=%s/csi.sock" $dir -}}
{{- $mounts := list (dict "name" "kubelet" "mountPath" .Values.kubeletDir) -}}
{{- include "holdfast.sidecar" (dict "root" . "name" "registrar" "mounts" $mounts "args" (list $socket (printf "--kubelet-registration-path=%s/csi.sock" $dir) (printf "--plugin-registration-path=%s/plugins_registry" .Values.kubeletDir))) }}
{{ include "holdfast.sidecar" (dict "root" . "name" "livenessprobe" "mounts" $mounts "args" (list $socket (printf "--health-port=%v" .Values.node.healthPort))) }}
{{- if $local }}
{{ include "holdfast.sidecar" (dict "root" . "name" "provisioner" "mounts" $mounts "args" (list $socket "--node-deployment" (printf "--volume-name-prefix=%s" (include "holdfast.driver" .)) "--strict-topology" "--immediate-topology=false" "--feature-gates=Topology=true" "--extra-create-metadata" "--enable-capacity" "--capacity-ownerref-level=1" "--timeout=60s")) }}
{{- if include "holdfast.snapshots" . }}
{{ include "holdfast.sidecar" (dict "root" . "name" "snapshotter" "mounts" $mounts "args" (list $socket "--node-deployment" "--timeout=60s")) }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* Local pools: provisioner and snapshotter know how to run on every node, the resizer does not. It asks the driver beside it what drivers of this name can do, and leaves growing to each node. */ -}}
{{- define "holdfast.upstreamLocalController" -}}
{{- $mounts := list (dict "name" "plugin" "mountPath" "/csi") -}}
{{- include "holdfast.sidecar" (dict "root" . "name" "resizer" "mounts" $mounts "args" (list "--csi-address=/csi/csi.sock" "--leader-election" "--handle-volume-inuse-error=false")) }}
{{- end -}}

{{- define "holdfast.upstreamSharedController" -}}
{{- $mounts := list (dict "name" "socket" "mountPath" "/csi") -}}
{{- $args := list "--csi-address=/csi/csi.sock" "--leader-election" "--timeout=60s" -}}
{{- include "holdfast.sidecar" (dict "root" . "name" "provisioner" "mounts" $mounts "args" (append $args "--extra-create-metadata")) }}
{{ include "holdfast.sidecar" (dict "root" . "name" "attacher" "mounts" $mounts "args" $args) }}
{{ include "holdfast.sidecar" (dict "root" . "name" "resizer" "mounts" $mounts "args" $args) }}
{{- if include "holdfast.snapshots" . }}
{{ include "holdfast.sidecar" (dict "root" . "name" "snapshotter" "mounts" $mounts "args" $args) }}
{{- end }}
{{ include "holdfast.sidecar" (dict "root" . "name" "livenessprobe" "mounts" $mounts "args" (list "--csi-address=/csi/csi.sock" (printf "--health-port=%v" .Values.controller.healthPort))) }}
{{- end -}}
