{{- /* "true" where the pools are shared; a mix is refused, for attaching belongs to the driver's name. */ -}}
{{- define "holdfast.shared" -}}
{{- $shared := list -}}
{{- $local := list -}}
{{- range .Values.pools -}}
{{- if .shared }}{{ $shared = append $shared .name }}{{ else }}{{ $local = append $local .name }}{{ end -}}
{{- end -}}
{{- if and $shared $local -}}
{{- fail (printf "pools: %s is shared and %s is local: install the chart twice, each with its own pools" (first $shared) (first $local)) -}}
{{- end -}}
{{- if $shared }}true{{ end -}}
{{- end -}}

{{- define "holdfast.driver" -}}
{{- .Values.driverName | default (ternary "shared.csi.holdfast" "local.csi.holdfast" (eq (include "holdfast.shared" .) "true")) -}}
{{- end -}}

{{- /* Before the names of all that it makes: two releases, as of local and of shared pools, do not meet. */ -}}
{{- define "holdfast.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "holdfast.upstream" -}}
{{- if eq .Values.sidecars "upstream" }}true{{ end -}}
{{- end -}}

{{- define "holdfast.snapshots" -}}
{{- $asked := toString .Values.snapshots.enabled -}}
{{- if or (eq $asked "true") .Values.snapshots.controller (and (eq $asked "auto") (.Capabilities.APIVersions.Has "snapshot.storage.k8s.io/v1")) }}true{{ end -}}
{{- end -}}

{{- define "holdfast.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}

{{- define "holdfast.pluginDir" -}}
{{- printf "%s/plugins/%s" .Values.kubeletDir (include "holdfast.driver" .) -}}
{{- end -}}

{{- define "holdfast.nodeAccount" -}}
{{- printf "%s-node" (include "holdfast.name" .) -}}
{{- end -}}

{{- define "holdfast.controllerAccount" -}}
{{- printf "%s-controller" (include "holdfast.name" .) -}}
{{- end -}}

{{- /* What never changes between versions, for selectors. Argument: the component and the root. */ -}}
{{- define "holdfast.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "holdfast.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- /* The configuration of a driver with pools; the role is an argument. */ -}}
{{- define "holdfast.config" -}}
{{- $pools := list -}}
{{- range .Values.pools }}{{ $pools = append $pools (omit . "rootDisk") }}{{ end -}}
{{- $config := merge (dict "driverName" (include "holdfast.driver" .) "pools" $pools) (omit .Values.config "kubernetes") -}}
{{- if include "holdfast.upstream" . -}}
{{- $_ := set $config "endpoint" (printf "unix://%s/csi.sock" (include "holdfast.pluginDir" .)) -}}
{{- /* The resizer runs once for all nodes and reaches none but its own. */ -}}
{{- if not (include "holdfast.shared" .) }}{{ $_ := set $config "controllerExpansion" false }}{{ end -}}
{{- else -}}
{{- $_ := set $config "kubernetes" (merge (dict "kubeletDir" .Values.kubeletDir "namespace" .Release.Namespace "snapshotController" .Values.snapshots.controller) (.Values.config.kubernetes | default dict)) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{- /* The configuration of the controller of local pools, which has none itself. */ -}}
{{- define "holdfast.controllerConfig" -}}
{{- $config := merge (dict "driverName" (include "holdfast.driver" .)) (omit .Values.config "kubernetes") -}}
{{- $_ := set $config "kubernetes" (merge (dict "namespace" .Release.Namespace "snapshotController" .Values.snapshots.controller) (.Values.config.kubernetes | default dict)) -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "holdfast.upstreamImage" -}}
{{- printf "%s/%s" .root.Values.upstream.registry (get .root.Values.upstream .name) -}}
{{- end -}}

{{- /* The driver's container runs as root with every power: it makes loop devices and mounts that the node sees. */ -}}
{{- define "holdfast.privileged" -}}
privileged: true
readOnlyRootFilesystem: true
{{- end -}}

{{- define "holdfast.confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "holdfast.probes" -}}
ports:
  - name: health
    containerPort: {{ . }}
# The API server or a pool may be gone for a while: that makes it unready, and is no reason to start it again.
livenessProbe:
  httpGet:
    path: /livez
    port: health
  initialDelaySeconds: 10
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet:
    path: /readyz
    port: health
  periodSeconds: 5
  timeoutSeconds: 5
{{- end -}}

{{- define "holdfast.nodeMounts" -}}
- name: kubelet
  mountPath: {{ .Values.kubeletDir }}
  mountPropagation: Bidirectional
- name: dev
  mountPath: /dev
- name: config
  mountPath: /etc/holdfast
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- range $index, $pool := .Values.pools }}
- name: pool-{{ $index }}
  mountPath: {{ $pool.path }}
  mountPropagation: Bidirectional
{{- end }}
{{- end -}}

{{- define "holdfast.nodeVolumes" -}}
- name: kubelet
  hostPath:
    path: {{ .Values.kubeletDir }}
    type: Directory
- name: dev
  hostPath:
    path: /dev
- name: config
  configMap:
    name: {{ include "holdfast.name" . }}
- name: tmp
  emptyDir: {}
{{- range $index, $pool := .Values.pools }}
- name: pool-{{ $index }}
  hostPath:
    path: {{ $pool.path }}
    # A folder that is made here is not a pool yet: the driver says so until a disk is mounted there.
    type: DirectoryOrCreate
{{- end }}
{{- end -}}

{{- /*
The folders that may become pools. What a folder lacks is in this step's log, and in the driver's as long as it lacks it:
it keeps no other pool from being served.
*/ -}}
{{- define "holdfast.initPools" -}}
- name: pools
  image: {{ include "holdfast.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command: [/bin/sh, -euc]
  args:
    - |
      {{- if include "holdfast.upstream" . }}
      mkdir -p {{ include "holdfast.pluginDir" . }}
      {{- end }}
      {{- range .Values.pools }}
      holdfast pool init {{ .path }} --backend {{ .backend }}{{ if .shared }} --shared{{ end }}{{ if not .rootDisk }} --only-mounted{{ end }} || true
      {{- end }}
  env:
    - name: KUBE_NODE_NAME
      valueFrom:
        fieldRef:
          fieldPath: spec.nodeName
  securityContext:
    {{- include "holdfast.privileged" . | nindent 4 }}
  volumeMounts:
    {{- include "holdfast.nodeMounts" . | nindent 4 }}
{{- end -}}

{{- /* The driver itself. Arguments: root, args (a list), healthPort, resources. */ -}}
{{- define "holdfast.driverContainer" -}}
- name: holdfast
  image: {{ include "holdfast.image" .root }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  args: {{ toJson .args }}
  env:
    - name: KUBE_NODE_NAME
      valueFrom:
        fieldRef:
          fieldPath: spec.nodeName
  securityContext:
    {{- include "holdfast.privileged" .root | nindent 4 }}
  {{- if include "holdfast.upstream" .root }}
  # The livenessprobe beside it answers here.
  ports:
    - name: health
      containerPort: {{ .healthPort }}
  livenessProbe:
    httpGet:
      path: /healthz
      port: health
    initialDelaySeconds: 10
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 6
  {{- else }}
  {{- include "holdfast.probes" .healthPort | nindent 2 }}
  {{- end }}
  {{- with .resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    {{- include "holdfast.nodeMounts" .root | nindent 4 }}
{{- end -}}
