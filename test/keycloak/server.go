// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/test/env"
)

const (
	startTimeout = 4 * time.Minute
	stopTimeout  = 30 * time.Second
)

// Server is a Keycloak that runs.
type Server struct {
	// URL is its root, without a slash at the end.
	URL string
	// Log is the file of its log.
	Log string

	password string
	process  *process

	mu    sync.Mutex
	token string
}

// Start starts a server that ends with the test. Use one for many tests: it
// takes about a quarter of a minute, and realms are cheap.
func Start(t testing.TB) *Server {
	t.Helper()
	s, err := Run(t.Context(), t.ArtifactDir())
	if err != nil {
		t.Fatalf("starting Keycloak: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stopping Keycloak: %v", err)
		}
		if t.Failed() {
			t.Logf("the end of Keycloak's log:\n%s", tail(s.Log))
		}
	})
	return s
}

// Run starts a server and returns when it answers. Its log and its data are in
// dir. Beside the authorities that Java knows it trusts these certificates of
// other servers. The context bounds the start only.
func Run(ctx context.Context, dir string, trusted ...*x509.Certificate) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	home, err := home(ctx)
	if err != nil {
		return nil, err
	}
	address, err := env.FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	s := &Server{
		URL:      "http://" + address,
		Log:      filepath.Join(dir, "keycloak.log"),
		password: rand.Text(),
	}
	further, err := trust(dir, trusted)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(s.Log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "java", append(arguments(home, port), further...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "KC_BOOTSTRAP_ADMIN_USERNAME="+adminName, "KC_BOOTSTRAP_ADMIN_PASSWORD="+s.password)
	cmd.Stdout, cmd.Stderr = log, log
	if s.process, err = start(cmd); err != nil {
		return nil, err
	}
	if err := s.wait(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, tail(s.Log)), s.Stop())
	}
	return s, nil
}

// Stop ends the server.
func (s *Server) Stop() error { return s.process.stop(stopTimeout) }

// home is where the server is; it is fetched if it must be.
func home(ctx context.Context) (string, error) {
	root, err := env.ModuleRoot()
	if err != nil {
		return "", err
	}
	fetch := exec.CommandContext(ctx, "go", "run", "./test/keycloak/fetch")
	fetch.Dir = root
	fetch.Env = append(os.Environ(), "PWD="+root)
	fetch.Stderr = os.Stderr
	if err := fetch.Run(); err != nil {
		return "", fmt.Errorf("fetching Keycloak: %w", err)
	}
	return filepath.Join(root, "bin", "keycloak", "server"), nil
}

// arguments are those that Keycloak's own script passes to java, with less
// memory and less optimisation. The script itself would stay between the test
// and the server, so that the server could outlive both.
func arguments(home, port string) []string {
	return []string{
		"-Xms192m", "-Xmx512m", "-XX:MaxMetaspaceSize=320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-XX:+ExitOnOutOfMemoryError", "-Djava.security.egd=file:/dev/urandom",
		"--add-opens=java.base/java.util=ALL-UNNAMED",
		"--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
		"--add-opens=java.base/java.security=ALL-UNNAMED",
		"--add-opens=java.base/java.lang=ALL-UNNAMED",
		"--enable-native-access=ALL-UNNAMED", "-Duser.language=en", "-Duser.country=US",
		"-Djava.util.concurrent.ForkJoinPool.common.threadFactory=" +
			"io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
		"-Dkc.home.dir=" + home, "-Djboss.server.config.dir=" + filepath.Join(home, "conf"),
		"-Djava.util.logging.manager=org.jboss.logmanager.LogManager", "-Dpicocli.disable.closures=true",
		"-cp", filepath.Join(home, "lib", "quarkus-run.jar"), "io.quarkus.bootstrap.runner.QuarkusEntryPoint",
		"start", "--optimized", "--http-enabled=true", "--http-host=127.0.0.1",
		"--http-port=" + port, "--hostname-strict=false", "--cache=local",
	}
}

// trust writes certificates to a file in dir, and is the argument that names it.
func trust(dir string, certificates []*x509.Certificate) ([]string, error) {
	if len(certificates) == 0 {
		return nil, nil
	}
	var encoded []byte
	for _, certificate := range certificates {
		encoded = append(encoded, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})...)
	}
	path := filepath.Join(dir, "trusted.pem")
	return []string{"--truststore-paths=" + path}, os.WriteFile(path, encoded, 0o600)
}

// wait asks until the server answers.
func (s *Server) wait(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if s.answers(ctx) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for an answer: %w", ctx.Err())
		case <-s.process.ended:
			return fmt.Errorf("it ended: %s", s.process.cmd.ProcessState)
		case <-tick.C:
		}
	}
}

func (s *Server) answers(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/realms/master", nil)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

func tail(path string) string {
	const size = 4096
	file, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err.Error()
	}
	text, err := io.ReadAll(io.NewSectionReader(file, max(0, info.Size()-size), size))
	if err != nil {
		return err.Error()
	}
	return string(text)
}
