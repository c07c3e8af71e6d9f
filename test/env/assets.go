// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package env

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	assetsVariable = "KUBEBUILDER_ASSETS"

	etcdName              = "etcd"
	apiServerName         = "kube-apiserver"
	controllerManagerName = "kube-controller-manager"
	kubectlName           = "kubectl"
	tetherName            = "tether"
)

// assets are the paths of the binaries. The servers' paths are tethers: what is
// started through them ends with this process.
type assets struct {
	etcd, apiServer, controllerManager, kubectl string
}

func findAssets(ctx context.Context, dir string, controllerManager bool) (assets, error) {
	names := []string{etcdName, apiServerName, kubectlName, tetherName}
	if controllerManager {
		names = append(names, controllerManagerName)
	}
	paths, err := findBinaries(ctx, names)
	if err != nil {
		return assets{}, err
	}
	found := assets{kubectl: paths[kubectlName]}
	servers := map[string]*string{
		etcdName: &found.etcd, apiServerName: &found.apiServer, controllerManagerName: &found.controllerManager,
	}
	for name, tethered := range servers {
		if paths[name] == "" {
			continue
		}
		if *tethered, err = tether(dir, paths[tetherName], paths[name]); err != nil {
			return assets{}, err
		}
	}
	return found, nil
}

// tether makes a path in dir that runs the target by way of the tether program.
func tether(dir, program, target string) (string, error) {
	path := filepath.Join(dir, filepath.Base(target))
	if err := os.Symlink(program, path); err != nil {
		return "", fmt.Errorf("tethering %s: %w", target, err)
	}
	if err := os.Symlink(target, path+".target"); err != nil {
		return "", fmt.Errorf("tethering %s: %w", target, err)
	}
	return path, nil
}

// findBinaries looks in KUBEBUILDER_ASSETS first. The rest is ours; the builder is
// always asked, for it knows whether what is there is still what the module pins.
func findBinaries(ctx context.Context, names []string) (map[string]string, error) {
	root, err := ModuleRoot()
	if err != nil {
		return nil, err
	}
	paths := map[string]string{}
	var ours []string
	for _, name := range names {
		if path, ok := userAsset(name); ok {
			paths[name] = path
			continue
		}
		paths[name] = filepath.Join(root, "bin", "controlplane", name)
		ours = append(ours, name)
	}
	if len(ours) == 0 {
		return paths, nil
	}
	return paths, build(ctx, root, ours)
}

func userAsset(name string) (string, bool) {
	dir := os.Getenv(assetsVariable)
	if dir == "" || name == tetherName {
		return "", false
	}
	path, err := filepath.Abs(filepath.Join(dir, name))
	if err != nil {
		return "", false
	}
	info, err := os.Stat(path)
	return path, err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// build shows progress on standard error: it takes minutes the first time.
func build(ctx context.Context, root string, names []string) error {
	var said strings.Builder
	cmd := exec.CommandContext(ctx, "go", append([]string{"run", "./build"}, names...)...)
	cmd.Dir = filepath.Join(root, "test", "controlplane")
	cmd.Env = append(os.Environ(), "GOWORK=off", "PWD="+cmd.Dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = stopTimeout
	cmd.Stderr = progress{&said}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building the control plane: %w\n%s", err, said.String())
	}
	return nil
}

// progress passes everything on to standard error and keeps it for the error.
type progress struct{ said *strings.Builder }

func (p progress) Write(text []byte) (int, error) {
	p.said.Write(text)
	return os.Stderr.Write(text)
}

// Kubectl returns the path of a kubectl of the control plane's version.
func Kubectl(ctx context.Context) (string, error) {
	paths, err := findBinaries(ctx, []string{kubectlName})
	if err != nil {
		return "", err
	}
	return paths[kubectlName], nil
}

// ModuleRoot returns the top directory of the repository, found from the working
// directory upwards.
func ModuleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(content), "module github.com/mcp-registrar/mcp-registrar\n") {
			return dir, nil
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		if filepath.Dir(dir) == dir {
			return "", errors.New("finding the repository: not inside module github.com/mcp-registrar/mcp-registrar")
		}
		dir = filepath.Dir(dir)
	}
}
