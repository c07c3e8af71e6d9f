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

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// contextName is the name of cluster, user and context in the kubeconfig files.
const contextName = "mcp-registrar"

// tokenSeconds is the lifetime of the tokens asked for: a day, so that a demo or
// a soak run does not outlive its credentials.
const tokenSeconds = 24 * 60 * 60

// Kubeconfig writes a kubeconfig file for cfg that only its owner can read. A file
// of that name is replaced.
func (c *ControlPlane) Kubeconfig(path string, cfg *rest.Config) error {
	file := clientcmdapi.NewConfig()
	file.Clusters[contextName] = &clientcmdapi.Cluster{Server: cfg.Host, CertificateAuthorityData: cfg.CAData}
	file.AuthInfos[contextName] = &clientcmdapi.AuthInfo{
		ClientCertificateData: cfg.CertData,
		ClientKeyData:         cfg.KeyData,
		Token:                 cfg.BearerToken,
	}
	file.Contexts[contextName] = &clientcmdapi.Context{Cluster: contextName, AuthInfo: contextName}
	file.CurrentContext = contextName
	content, err := clientcmd.Write(*file)
	if err != nil {
		return fmt.Errorf("writing a kubeconfig: %w", err)
	}
	if err := replaceFile(path, content); err != nil {
		return fmt.Errorf("writing a kubeconfig: %w", err)
	}
	return nil
}

// replaceFile never exposes content in a file that others were able to open.
func replaceFile(path string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".kubeconfig-")
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// ServiceAccountConfig returns a config that acts as exactly this ServiceAccount,
// which must exist, by a token valid for a day.
func (c *ControlPlane) ServiceAccountConfig(ctx context.Context, namespace, name string) (*rest.Config, error) {
	clients, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return nil, err
	}
	request := &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(tokenSeconds))},
	}
	answer, err := clients.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("requesting a token for service account %s/%s: %w", namespace, name, err)
	}
	cfg := rest.AnonymousClientConfig(c.Config)
	cfg.BearerToken = answer.Status.Token
	return cfg, nil
}

// UserConfig returns a config with a client certificate of a user with this name
// in these groups. It may do what RBAC gives them: at first, nearly nothing.
func (c *ControlPlane) UserConfig(name string, groups ...string) (*rest.Config, error) {
	base := &rest.Config{QPS: c.Config.QPS, Burst: c.Config.Burst}
	user, err := c.plane.AddUser(envtest.User{Name: name, Groups: groups}, base)
	if err != nil {
		return nil, fmt.Errorf("making a certificate for user %s: %w", name, err)
	}
	return user.Config(), nil
}

// Apply applies these files or directories, in order, as the cluster admin.
func (c *ControlPlane) Apply(ctx context.Context, paths ...string) error {
	for _, path := range paths {
		if _, err := c.RunKubectl(ctx, "apply", "--server-side", "--force-conflicts", "-f", path); err != nil {
			return err
		}
	}
	return nil
}

// RunKubectl runs kubectl as the cluster admin and returns its standard output.
func (c *ControlPlane) RunKubectl(ctx context.Context, args ...string) (string, error) {
	kubeconfig := filepath.Join(c.dir, "admin.kubeconfig")
	if err := c.Kubeconfig(kubeconfig, c.Config); err != nil {
		return "", err
	}
	all := append([]string{"--kubeconfig=" + kubeconfig, "--cache-dir=" + filepath.Join(c.dir, "kubectl-cache")}, args...)
	out, err := exec.CommandContext(ctx, c.assets.kubectl, all...).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	if err != nil {
		return "", fmt.Errorf("running kubectl %s: %w", args, err)
	}
	return string(out), nil
}
