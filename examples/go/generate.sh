#!/bin/sh
# Generates the package bridgev1 from the bridge's proto, with the plugins that go.mod names and the protoc on the path.
set -eu
package=grpc-sse-bridge/examples/go
options="module=$package,Mbridge/v1/publisher.proto=$package/bridgev1"
GOBIN="$PWD/bin" go install tool
protoc -I ../../proto bridge/v1/publisher.proto \
  --plugin=bin/protoc-gen-go --go_out=. --go_opt="$options" \
  --plugin=bin/protoc-gen-go-grpc --go-grpc_out=. --go-grpc_opt="$options"
