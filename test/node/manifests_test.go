// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build node && linux

package node

// infrastructure is what a platform team and a service team apply. It takes the
// issuer.
const infrastructure = `
apiVersion: v1
kind: Namespace
metadata:
  name: team
---
apiVersion: mcp-registrar.dev/v1alpha1
kind: AuthorizationServer
metadata:
  name: devas
spec:
  issuer: %s
  dynamicRegistration: {}
  driftCheckSeconds: 604800
  allowedNamespaces:
    from: All
  allowedServers:
    from: All
---
apiVersion: mcp-registrar.dev/v1alpha1
kind: MCPServer
metadata:
  name: files
  namespace: team
  annotations:
    mcp-registrar.dev/owner: team-files@example.com
spec:
  resource: https://mcp.example.com/files
  authorizationServerRef:
    name: devas
  scopes:
  - name: files:read
    tier: Read
`

// client is what a client's developer applies. It takes a name and an end.
const client = `
apiVersion: mcp-registrar.dev/v1alpha1
kind: MCPClientRegistration
metadata:
  name: %[1]s
  namespace: team
  annotations:
    mcp-registrar.dev/owner: team-a@example.com
    mcp-registrar.dev/expires-at: %[2]q
spec:
  authorizationServerRef:
    name: devas
  clientName: %[1]s
  applicationType: Web
  grantTypes:
  - ClientCredentials
  tokenEndpointAuthMethod: ClientSecretBasic
---
apiVersion: mcp-registrar.dev/v1alpha1
kind: ScopeGrant
metadata:
  name: %[1]s
  namespace: team
  annotations:
    mcp-registrar.dev/owner: team-a@example.com
    mcp-registrar.dev/expires-at: %[2]q
spec:
  clientRef:
    name: %[1]s
  serverRef:
    name: files
  scopes:
  - files:read
`
