package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// transport is TLS where there are authorities to trust, with the client certificate that is shown, if there is one.
func (g *gateway) transport() (credentials.TransportCredentials, error) {
	if g.caFile == "" {
		if g.certificateFile != "" {
			return nil, errors.New("--certificate-file: expected --ca-file with it, since without TLS nothing is shown")
		}
		return insecure.NewCredentials(), nil
	}
	authorities, err := os.ReadFile(g.caFile)
	if err != nil {
		return nil, fmt.Errorf("--ca-file: %w", err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	if !config.RootCAs.AppendCertsFromPEM(authorities) {
		return nil, fmt.Errorf("--ca-file %s: expected certificates in PEM", g.caFile)
	}
	if g.certificateFile != "" {
		pair, err := tls.LoadX509KeyPair(g.certificateFile, g.keyFile)
		if err != nil {
			return nil, fmt.Errorf("--certificate-file, --key-file: expected a certificate and its key in PEM: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return credentials.NewTLS(config), nil
}
