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
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

// controllers are the ones whose effects the product depends on. The others wait
// for pods and nodes, and there are none.
var controllers = []string{
	"clusterrole-aggregation-controller",
	"garbage-collector-controller",
	"namespace-controller",
	"root-ca-certificate-publisher-controller",
	"serviceaccount-controller",
	"serviceaccount-token-controller",
	"validatingadmissionpolicy-status-controller",
}

func (c *ControlPlane) startControllerManager(ctx context.Context) error {
	certs := c.plane.ControlPlane.APIServer.CertDir
	rootCA := filepath.Join(certs, "root-ca.crt")
	if err := os.WriteFile(rootCA, c.Config.CAData, 0o600); err != nil {
		return err
	}
	kubeconfig := filepath.Join(certs, controllerManagerName+".kubeconfig")
	if err := c.Kubeconfig(kubeconfig, c.Config); err != nil {
		return err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), c.assets.controllerManager,
		"--kubeconfig="+kubeconfig,
		"--controllers="+strings.Join(controllers, ","),
		"--root-ca-file="+rootCA,
		"--service-account-private-key-file="+filepath.Join(certs, "sa-signer.key"),
		"--use-service-account-credentials=false",
		"--leader-elect=false",
		"--secure-port=0",
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
	)
	cmd.Stdout, cmd.Stderr = c.logs[controllerManagerName], c.logs[controllerManagerName]
	var err error
	if c.manager, err = c.keeper.start(cmd); err != nil {
		return fmt.Errorf("starting %s: %w", controllerManagerName, err)
	}
	if err := c.waitForControllers(ctx); err != nil {
		return c.logs.explain(err, controllerManagerName)
	}
	return nil
}

// waitForControllers waits for what two of the controllers do in a fresh cluster.
// kube-controller-manager does not listen: its health page would say less.
func (c *ControlPlane) waitForControllers(ctx context.Context) error {
	clients, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return err
	}
	working := func(ctx context.Context) (bool, error) {
		select {
		case <-c.manager.ended:
			return false, fmt.Errorf("%s has ended: %s", controllerManagerName, c.manager.cmd.ProcessState)
		default:
		}
		_, accountErr := clients.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		_, rootErr := clients.CoreV1().ConfigMaps(metav1.NamespaceDefault).Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
		missing := errors.Join(accountErr, rootErr)
		if apierrors.IsNotFound(accountErr) || apierrors.IsNotFound(rootErr) {
			return false, nil
		}
		return missing == nil, missing
	}
	if err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, startTimeout, true, working); err != nil {
		return fmt.Errorf("waiting for %s: %w", controllerManagerName, err)
	}
	return nil
}
