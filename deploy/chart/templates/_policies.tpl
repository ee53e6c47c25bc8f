{{- define "holdfast.selectedNode" }}volume.kubernetes.io/selected-node{{ end -}}
{{- define "holdfast.noNodePart" }}volume.kubernetes.io/node-expansion-not-required{{ end -}}
{{- define "holdfast.restoreFinalizer" }}provisioner.storage.kubernetes.io/volumesnapshot-as-source-protection{{ end -}}

{{- /*
The head of a policy, up to its variables: `node` is the node whose pod the token is bound to, empty for a token that is bound to none; `all` is what is
there before and after. Arguments: root, name, groups, resources, parameters (true: StorageClass), except (true: not what has a policy of its own).
*/ -}}
{{- define "holdfast.policy" }}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{ include "holdfast.nodeAccount" .root }}-{{ .name }}
  labels:
    {{- include "holdfast.labels" .root | nindent 4 }}
spec:
  failurePolicy: Fail
  {{- if .parameters }}
  paramKind:
    apiVersion: storage.k8s.io/v1
    kind: StorageClass
  {{- end }}
  matchConstraints:
    resourceRules:
      - apiGroups: {{ toJson .groups }}
        apiVersions: ["*"]
        operations: {{ ternary "[CREATE, UPDATE]" "[CREATE, UPDATE, DELETE]" (default false .parameters) }}
        resources: {{ toJson .resources }}
    {{- if .except }}
    excludeResourceRules:
      - apiGroups: [storage.k8s.io]
        apiVersions: ["*"]
        operations: ["*"]
        resources: [csistoragecapacities]
      - apiGroups: [snapshot.storage.k8s.io]
        apiVersions: ["*"]
        operations: ["*"]
        resources: [volumesnapshotcontents, volumesnapshotcontents/status, volumesnapshots, volumesnapshots/status]
    {{- end }}
  matchConditions:
    - name: from-a-node
      expression: request.userInfo.username == 'system:serviceaccount:{{ .root.Release.Namespace }}:{{ include "holdfast.nodeAccount" .root }}'
  variables:
    - name: node
      expression: >-
        has(request.userInfo.extra) && 'authentication.kubernetes.io/node-name' in request.userInfo.extra
        ? request.userInfo.extra['authentication.kubernetes.io/node-name'][0] : ''
    - name: all
      expression: "request.operation == 'CREATE' ? [object] : request.operation == 'DELETE' ? [oldObject] : [object, oldObject]"
{{- end -}}

{{- define "holdfast.bound" -}}
- expression: variables.node != ''
  message: the token is not bound to a pod on a node
{{- end -}}
