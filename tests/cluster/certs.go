package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"time"
)

// user is a line of the static token file.
type user struct {
	name, token string
	groups      []string
}

// newUsers makes the identities that exist before any ServiceAccount does. Every component has its own, under the name
// that Kubernetes gives it, so that the audit log tells them apart.
func newUsers() []user {
	users := []user{
		{name: "admin", groups: []string{"system:masters"}},
		{name: "system:kube-controller-manager"},
		{name: "system:kube-scheduler"},
		{name: "kwok", groups: []string{"system:masters"}},
		{name: "cluster-launcher", groups: []string{"system:masters"}},
	}
	for i := range users {
		users[i].token = randomToken()
	}
	return users
}

func randomToken() string {
	token := make([]byte, 16)
	_, _ = rand.Read(token) // Never fails.
	return hex.EncodeToString(token)
}

// tokenFile formats the users as kube-apiserver's --token-auth-file.
func tokenFile(users []user) []byte {
	var out strings.Builder
	for _, u := range users {
		fmt.Fprintf(&out, "%s,%s,%s,%q\n", u.token, u.name, u.name, strings.Join(u.groups, ","))
	}
	return []byte(out.String())
}

// writeCertificates makes the files ca.crt, apiserver.{crt,key} and service-account.{key,pub} in the folder.
func writeCertificates(dir string, addresses []net.IP) error {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := certificate("iter8-cluster-ca")
	ca.IsCA, ca.BasicConstraintsValid = true, true
	ca.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	if err := writeCertificate(dir, "ca", ca, ca, caKey, caKey); err != nil {
		return err
	}

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serving := certificate("kube-apiserver")
	serving.KeyUsage = x509.KeyUsageDigitalSignature
	serving.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	serving.IPAddresses = addresses
	serving.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	if err := writeCertificate(dir, "apiserver", serving, ca, key, caKey); err != nil {
		return err
	}
	if err := writeKey(filepath.Join(dir, "apiserver.key"), key); err != nil {
		return err
	}
	return writeServiceAccountKeys(dir)
}

// certificate is what all our certificates have in common.
func certificate(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100)) // Never fails.
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		// An hour of grace for a clock that is set back while the cluster runs.
		NotBefore: time.Now().Add(-time.Hour),
		NotAfter:  time.Now().AddDate(1, 0, 0),
	}
}

func writeCertificate(dir, name string, cert, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) error {
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, &key.PublicKey, parentKey)
	if err != nil {
		return err
	}
	return writePEM(filepath.Join(dir, name+".crt"), "CERTIFICATE", der)
}

// writeServiceAccountKeys makes the pair that ServiceAccount tokens are signed and checked with.
func writeServiceAccountKeys(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if err := writeKey(filepath.Join(dir, "service-account.key"), key); err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	return writePEM(filepath.Join(dir, "service-account.pub"), "PUBLIC KEY", der)
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(path, "EC PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return writeFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
