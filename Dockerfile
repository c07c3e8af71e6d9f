# The build stage is the image that Go's release is published in; the final one is
# empty but for the two binaries and the certificates of public authorities. There is no
# shell, no package manager and nothing to update but those two.
FROM golang:1.26-bookworm AS build
WORKDIR /src
# The modules first: they change less often than the code.
COPY go.mod go.sum ./
RUN go mod download
COPY api/ api/
COPY cmd/ cmd/
COPY controllers/ controllers/
COPY internal/ internal/
ARG TARGETOS=linux
ARG TARGETARCH
# What --version prints: the repository itself is not here.
ARG VERSION=unknown
ARG COMMIT=unknown
ARG COMMAND=github.com/mcp-registrar/mcp-registrar/internal/command
RUN CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} \
    go build -trimpath -ldflags="-s -w -X ${COMMAND}.version=${VERSION} -X ${COMMAND}.commit=${COMMIT}" \
    -o / ./cmd/manager ./cmd/guard

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /manager /guard /
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
ENTRYPOINT ["/manager"]
