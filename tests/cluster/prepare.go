package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
)

// prepare writes everything that the components read.
func (s *supervisor) prepare() error {
	for _, dir := range []string{"logs", "stages"} {
		if err := os.MkdirAll(s.file(dir), 0o700); err != nil {
			return err
		}
	}
	if err := s.choosePorts(); err != nil {
		return err
	}
	_, services, err := net.ParseCIDR(serviceCIDR)
	if err != nil {
		return err
	}
	addresses := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback, firstAddress(services)}
	for _, text := range []string{s.options.BindAddress, s.options.AdvertiseAddress} {
		if ip := net.ParseIP(text); ip != nil {
			addresses = append(addresses, ip)
		}
	}
	if err := writeCertificates(s.options.Dir, addresses); err != nil {
		return err
	}
	s.users = newUsers()
	if err := writeFile(s.file("tokens.csv"), tokenFile(s.users)); err != nil {
		return err
	}
	if err := writeFile(s.file("audit-policy.json"), fmt.Appendf(nil, auditPolicy, s.options.AuditLevel)); err != nil {
		return err
	}
	if err := s.writeKubeconfigs(); err != nil {
		return err
	}
	if s.stages, err = s.writeStages(s.options.KwokModule); err != nil {
		return err
	}
	s.api, err = newAPIClient(s.cluster.Server, s.cluster.CAFile, s.users[len(s.users)-1].token)
	return err
}

// writeKubeconfigs writes the admin's, which users get, and one for each component that is a client.
func (s *supervisor) writeKubeconfigs() error {
	files := map[string]string{
		"admin":                          kubeconfigFile,
		"system:kube-controller-manager": controllerManager + ".kubeconfig",
		"system:kube-scheduler":          scheduler + ".kubeconfig",
		"kwok":                           kwok + ".kubeconfig",
	}
	for _, u := range s.users {
		if files[u.name] == "" {
			continue
		}
		if err := s.cluster.writeKubeconfig(s.file(files[u.name]), identity{User: u.name, Token: u.token}); err != nil {
			return err
		}
	}
	return nil
}

// firstAddress is the address of the Service "kubernetes".
func firstAddress(network *net.IPNet) net.IP {
	ip := append(net.IP{}, network.IP.To4()...)
	ip[3]++
	return ip
}

// choosePorts picks free ports below the range that the kernel gives to outgoing connections, so that none of those is
// on a port while its component is stopped.
func (s *supervisor) choosePorts() error {
	host := s.options.BindAddress
	ports, err := freePorts(3, host)
	if err != nil {
		return err
	}
	s.port = ports[0]
	s.cluster.EtcdURL = "http://127.0.0.1:" + ports[1]
	s.peerURL = "http://127.0.0.1:" + ports[2]
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	s.cluster.Server = "https://" + net.JoinHostPort(host, s.port)
	return nil
}

// freePorts finds ports that nobody listens on, no two alike.
func freePorts(count int, host string) ([]string, error) {
	const low, high = 20000, 32000
	var ports []string
	for range 1000 {
		port := strconv.Itoa(low + rand.IntN(high-low))
		if !slices.Contains(ports, port) && canListen(host, port) && canListen("127.0.0.1", port) {
			ports = append(ports, port)
		}
		if len(ports) == count {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("no free ports on %s between %d and %d", host, low, high)
}

func canListen(host, port string) bool {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return false
	}
	_ = listener.Close()
	return true
}
