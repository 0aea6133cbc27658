package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
)

// identity is who a kubeconfig makes its user: the bearer of the token, or somebody whom the bearer impersonates.
type identity struct {
	User, Token, As string
}

// writeKubeconfig writes a kubeconfig, as JSON, which is YAML too.
func (c *Cluster) writeKubeconfig(path string, who identity) error {
	ca, err := os.ReadFile(c.CAFile)
	if err != nil {
		return err
	}
	login := map[string]string{"token": who.Token}
	if who.As != "" {
		login["as"] = who.As
	}
	config := map[string]any{
		"apiVersion":      "v1",
		"kind":            "Config",
		"clusters":        []any{map[string]any{"name": c.Name, "cluster": map[string]string{"server": c.Server, "certificate-authority-data": base64.StdEncoding.EncodeToString(ca)}}},
		"users":           []any{map[string]any{"name": who.User, "user": login}},
		"contexts":        []any{map[string]any{"name": c.Name, "context": map[string]string{"cluster": c.Name, "user": who.User, "namespace": "default"}}},
		"current-context": c.Name,
	}
	data, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append(data, '\n'))
}

func runKubeconfig(ctx context.Context, c command, args []string) error {
	set := c.flags()
	name := set.String("name", defaultName, "`NAME` of the cluster")
	dir := set.String("dir", "", "`DIR` that holds the state folders")
	user := set.String("user", "", "act as the `USER` of that name, by impersonation: with the rights that RBAC gives it, and no others")
	account := set.String("service-account", "", "act as the ServiceAccount `NAMESPACE/NAME`, with a token of the TokenRequest API")
	duration := set.String("duration", "24h", "how long the token is valid")
	output := set.String("output", "", "`FILE` to write")
	if _, err := parse(set, args, 0); err != nil {
		return err
	}
	if *output == "" {
		return errors.New("--output FILE is missing")
	}
	if (*user == "") == (*account == "") {
		return errors.New("name either --user or --service-account")
	}
	cluster, _, err := runningCluster(*dir, *name)
	if err != nil {
		return err
	}
	who, err := cluster.identity(ctx, *user, *account, *duration)
	if err != nil {
		return err
	}
	return cluster.writeKubeconfig(*output, who)
}

// identity finds the token for a user or for a ServiceAccount.
func (c *Cluster) identity(ctx context.Context, user, account, duration string) (identity, error) {
	if user != "" {
		token, err := c.adminToken()
		return identity{User: user, Token: token, As: user}, err
	}
	namespace, name, ok := strings.Cut(account, "/")
	if !ok || namespace == "" || name == "" {
		return identity{}, fmt.Errorf("--service-account: %q is not of the form NAMESPACE/NAME", account)
	}
	token, err := c.kubectl(ctx, "create", "token", name, "--namespace="+namespace, "--duration="+duration)
	return identity{User: "system:serviceaccount:" + namespace + ":" + name, Token: token}, err
}

// adminToken reads the admin's token out of the admin's kubeconfig.
func (c *Cluster) adminToken() (string, error) {
	data, err := os.ReadFile(c.Kubeconfig)
	if err != nil {
		return "", err
	}
	var config struct {
		Users []struct {
			User struct {
				Token string `json:"token"`
			} `json:"user"`
		} `json:"users"`
	}
	if err := json.Unmarshal(data, &config); err != nil || len(config.Users) == 0 {
		return "", fmt.Errorf("%s is not the kubeconfig that the launcher wrote (%v)", c.Kubeconfig, err)
	}
	return config.Users[0].User.Token, nil
}
