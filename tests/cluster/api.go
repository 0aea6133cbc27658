package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// apiClient is the little that the launcher needs of the Kubernetes API. client-go would take minutes to compile.
type apiClient struct {
	server, token string
	http          *http.Client
}

// object is the part of a Kubernetes object that decides whether the cluster is ready.
type object struct {
	Status struct {
		Conditions []struct {
			Type   string `json:"type"`
			Status string `json:"status"`
		} `json:"conditions"`
	} `json:"status"`
	Spec struct {
		Taints []struct {
			Key string `json:"key"`
		} `json:"taints"`
	} `json:"spec"`
}

// hasCondition says whether a condition of the object is True.
func (o object) hasCondition(kind string) bool {
	for _, condition := range o.Status.Conditions {
		if condition.Type == kind {
			return condition.Status == "True"
		}
	}
	return false
}

func newAPIClient(server, caFile, token string) (*apiClient, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", caFile)
	}
	// No proxy: the server is on this machine.
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	return &apiClient{server: server, token: token, http: &http.Client{Transport: transport}}, nil
}

func (a *apiClient) send(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, a.server+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+a.token)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "cluster-launcher")
	return a.http.Do(request)
}

// awaitReadyz waits until the API server says that it is ready.
func (a *apiClient) awaitReadyz(ctx context.Context) error {
	return poll(ctx, apiServer, func(ctx context.Context) error {
		response, err := a.send(ctx, http.MethodGet, "/readyz", nil)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err == nil && response.StatusCode != http.StatusOK {
			err = errors.New(notOK(string(body)))
		}
		return err
	})
}

// poll tries until it succeeds. For servers that start only: one that does not listen yet cannot tell us when it does.
func poll(ctx context.Context, name string, try func(context.Context) error) error {
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := try(attempt)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready (%w): %w", name, err, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// notOK picks the failing checks out of what /readyz answers.
func notOK(body string) string {
	var failing []string
	for _, line := range strings.Split(body, "\n") {
		if strings.HasPrefix(line, "[-]") {
			failing = append(failing, strings.Fields(line)[0][len("[-]"):])
		}
	}
	if len(failing) == 0 {
		return strings.TrimSpace(body)
	}
	return "waiting for " + strings.Join(failing, ", ")
}

// create creates an object; one that exists already is left as it is.
func (a *apiClient) create(ctx context.Context, path string, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	response, err := a.send(ctx, http.MethodPost, path, data)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated && response.StatusCode != http.StatusConflict {
		answer, _ := io.ReadAll(response.Body)
		return fmt.Errorf("POST %s: %s: %s", path, response.Status, answer)
	}
	return nil
}

// await watches one object until it exists and the condition holds.
func (a *apiClient) await(ctx context.Context, path, name string, holds func(object) bool) error {
	query := "?watch=1&fieldSelector=" + url.QueryEscape("metadata.name="+name)
	for {
		response, err := a.send(ctx, http.MethodGet, path+query, nil)
		if err != nil {
			return fmt.Errorf("waiting for %s/%s: %w", path, name, err)
		}
		found, err := firstMatch(response, holds)
		if found || err != nil {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("waiting for %s/%s: %w", path, name, context.Cause(ctx))
		}
	}
}

// firstMatch reads watch events until the condition holds or the server ends the watch.
func firstMatch(response *http.Response, holds func(object) bool) (bool, error) {
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		answer, _ := io.ReadAll(response.Body)
		return false, fmt.Errorf("watch: %s: %s", response.Status, answer)
	}
	events := json.NewDecoder(response.Body)
	for {
		var event struct {
			Type   string `json:"type"`
			Object object `json:"object"`
		}
		if err := events.Decode(&event); err != nil {
			return false, nil // The server ends every watch after some time: the caller opens the next.
		}
		if (event.Type == "ADDED" || event.Type == "MODIFIED") && holds(event.Object) {
			return true, nil
		}
	}
}
