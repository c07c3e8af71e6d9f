// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// good is a Dockerfile like the repository's.
const good = `# A comment.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod ./
RUN go mod download
COPY cmd/ cmd/
ARG TARGETOS=linux
ARG TARGETARCH
ARG SAID=done
RUN CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} \
    go build -trimpath -ldflags="-s -w -X main.said=${SAID}" -o /prog ./cmd/prog

FROM scratch
COPY --from=build /etc/hosts /etc/known/hosts
COPY --from=build /prog /prog
LABEL org.opencontainers.image.title="a program"
USER 65532:65532
ENTRYPOINT ["/prog"]
`

// newContext is a directory with this Dockerfile and a program.
func newContext(t *testing.T, dockerfile string) Options {
	t.Helper()
	o := Options{Context: t.TempDir(), Work: filepath.Join(t.TempDir(), "work")}
	for name, content := range map[string]string{
		"Dockerfile":            dockerfile,
		".dockerignore":         "*\n!go.mod\n!cmd\n**/*_test.go\n",
		"go.mod":                "module example.test/prog\n\ngo 1.26.0\n",
		"cmd/prog/main.go":      "package main\n\nvar said string\n\nfunc main() { println(said) }\n",
		"cmd/prog/main_test.go": "package main\n",
		"secret/key":            "secret\n",
	} {
		path := filepath.Join(o.Context, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func TestFromDockerfileFollowsIt(t *testing.T) {
	o := newContext(t, good)
	made, err := FromDockerfile(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	file, err := made.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	want := v1.Config{
		User: "65532:65532", Entrypoint: []string{"/prog"},
		Labels: map[string]string{"org.opencontainers.image.title": "a program"},
	}
	if diff := cmp.Diff(want, file.Config); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	if file.OS != "linux" || file.Architecture != runtime.GOARCH {
		t.Errorf("the image is for %s/%s", file.OS, file.Architecture)
	}
	got := contents(t, made)
	binary := got["prog"]
	delete(got, "prog")
	hosts, err := os.ReadFile("/etc/hosts")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"etc/": "", "etc/known/": "", "etc/known/hosts": string(hosts)}, got); diff != "" {
		t.Errorf("files beside the program (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(binary, "\x7fELF") || !strings.Contains(binary, "done") {
		t.Error("the program is not what the Dockerfile builds")
	}
	if left, err := filepath.Glob(filepath.Join(o.Work, "stage-0", "src", "cmd", "prog", "*_test.go")); err != nil || len(left) > 0 {
		t.Errorf("copied in spite of .dockerignore: %q (error %v)", left, err)
	}
}

func TestTheSameContentMakesTheSameImage(t *testing.T) {
	var digests []string
	for range 2 {
		made, err := FromDockerfile(t.Context(), newContext(t, good))
		if err != nil {
			t.Fatal(err)
		}
		digest, err := made.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digest.String())
	}
	if digests[0] != digests[1] {
		t.Errorf("got images %s and %s", digests[0], digests[1])
	}
}

// contents are the files of an image's layers.
func contents(t *testing.T, made v1.Image) map[string]string {
	t.Helper()
	layers, err := made.Layers()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, layer := range layers {
		reader, err := layer.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		archive := tar.NewReader(reader)
		for {
			header, err := archive.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(archive)
			if err != nil {
				t.Fatal(err)
			}
			files[header.Name] = string(content)
			if header.Uid != 0 || header.Mode&0o022 != 0 {
				t.Errorf("%s: owner %d, mode %o", header.Name, header.Uid, header.Mode)
			}
		}
	}
	return files
}

func TestFromDockerfileRefuses(t *testing.T) {
	cases := map[string]struct{ old, with, want string }{
		"another base image":              {"FROM golang:1.26-bookworm", "FROM debian:12", "not understood"},
		"a platform":                      {"FROM golang", "FROM --platform=linux/arm64 golang", "not understood"},
		"a last stage with a system":      {"FROM scratch", "FROM golang:1.26", "only an image from scratch"},
		"a command other than go build":   {"RUN go mod download", "RUN apt-get update", "not understood"},
		"a second command behind it":      {"./cmd/prog\n", "./cmd/prog && true\n", "exit status"},
		"a mount for a command":           {"RUN CGO_ENABLED=0", "RUN --mount=type=cache,target=/root CGO_ENABLED=0", "not understood"},
		"an entrypoint with a shell":      {`ENTRYPOINT ["/prog"]`, "ENTRYPOINT /prog", "not understood"},
		"a change of owner":               {"COPY --from=build /prog", "COPY --from=build --chown=1 /prog", "not understood"},
		"an instruction it does not know": {"USER 65532:65532", "VOLUME /data", "not understood"},
		"an ADD":                          {"COPY go.mod", "ADD go.mod", "not understood"},
		"a pattern":                       {"COPY go.mod ./", "COPY go.* ./", "not understood"},
		"a file that is ignored":          {"COPY go.mod ./", "COPY go.mod secret ./", "all of it is ignored"},
		"a stage that is not there":       {"COPY --from=build /prog", "COPY --from=other /prog", "not found"},
		"a file that is not there":        {"/etc/hosts", "/etc/absent", "no such file"},
		"a program that is not there":     {"./cmd/prog\n", "./cmd/absent\n", "directory not found"},
		"what is no Dockerfile":           {"FROM scratch", "FRM scratch", "unknown instruction"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(good, tc.old, tc.with, 1)
			if changed == good {
				t.Fatalf("%q is not in the Dockerfile", tc.old)
			}
			_, err := FromDockerfile(t.Context(), newContext(t, changed))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got error %v, want one with %q", err, tc.want)
			}
		})
	}
}

// TestTheDockerfileHasTheModulesGo holds what following it on this machine cannot
// show: which Go a container engine would take.
func TestTheDockerfileHasTheModulesGo(t *testing.T) {
	root := filepath.Join("..", "..", "..", "..")
	found := map[string]string{}
	for name, pattern := range map[string]string{
		"Dockerfile": `(?m)^FROM golang:(\d+\.\d+)`,
		"go.mod":     `(?m)^go (\d+\.\d+)`,
	} {
		content, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		match := regexp.MustCompile(pattern).FindSubmatch(content)
		if match == nil {
			t.Fatalf("%s does not say which Go", name)
		}
		found[name] = string(match[1])
	}
	if found["Dockerfile"] != found["go.mod"] {
		t.Errorf("the Dockerfile builds with Go %s, the module asks for %s", found["Dockerfile"], found["go.mod"])
	}
}

func TestProgramAndWrite(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "pause")
	if err := os.WriteFile(binary, []byte("program"), 0o755); err != nil {
		t.Fatal(err)
	}
	made, err := Program(binary, filepath.Join(t.TempDir(), "work"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"pause": "program"}, contents(t, made)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	path := filepath.Join(t.TempDir(), "pause.tar")
	if err := Write(path, "example.test/pause:now", made); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(content), `"RepoTags":["example.test/pause:now"]`) {
		t.Errorf("the archive does not name the image (error %v)", err)
	}
	if err := Write(path, "no/good name", made); err == nil {
		t.Error("a name that is none was accepted")
	}
}
