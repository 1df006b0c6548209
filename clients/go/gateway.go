package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
)

// gateway is where the gateway is, and how it is called.
type gateway struct {
	endpoint, serviceConfig          string
	caFile, certificateFile, keyFile string
	timeout                          seconds
}

// usualTimeout is for the commands that call once, or a few times.
const usualTimeout = 10 * time.Second

// addFlags takes the timeout that holds where there is no flag for it; 0 is none.
func (g *gateway) addFlags(command *cobra.Command, timeout time.Duration) {
	flags := command.Flags()
	g.timeout = seconds(timeout)
	flags.StringVar(&g.endpoint, "endpoint", "127.0.0.1:50051", "`HOST:PORT` of the gateway")
	flags.Var(&g.timeout, "timeout", "the deadline of everything that the command does, waits included")
	flags.StringVar(&g.caFile, "ca-file", "", "PEM `file` of the authorities to trust; without it there is no TLS")
	flags.StringVar(&g.certificateFile, "certificate-file", "", "PEM `file` of the client certificate that is shown")
	flags.StringVar(&g.keyFile, "key-file", "", "PEM `file` of its key")
	flags.StringVar(&g.serviceConfig, "service-config", "../service_config.json", "`file` with the gRPC service config")
	command.MarkFlagsRequiredTogether("certificate-file", "key-file")
}

// call does the work under one deadline, if there is a timeout, and one span. An error says that nothing was sent.
func (g *gateway) call(name string, work func(context.Context, *grpc.ClientConn)) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if g.timeout != 0 {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(g.timeout))
		defer cancel()
	}
	connection, err := g.connect()
	if err != nil {
		return err
	}
	defer connection.Close()
	defer startTracing(ctx)()
	ctx, span := otel.Tracer("incidentgate-client").Start(ctx, name)
	defer span.End()
	work(ctx, connection)
	return nil
}

func (g *gateway) connect() (*grpc.ClientConn, error) {
	if !isAddress(g.endpoint) {
		return nil, fmt.Errorf("--endpoint %q: expected HOST:PORT, such as 127.0.0.1:50051", g.endpoint)
	}
	transport, err := g.transport()
	if err != nil {
		return nil, err
	}
	serviceConfig, err := os.ReadFile(g.serviceConfig)
	if err != nil {
		return nil, fmt.Errorf("--service-config: %w", err)
	}
	connection, err := grpc.NewClient(
		"dns:///"+g.endpoint, // So that a host with the name `unix` is one.
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultServiceConfig(string(serviceConfig)),
		// No one else's, by DNS: it could have the call sent again.
		grpc.WithDisableServiceConfig(),
		// While a watch is silent, nothing else would tell that the gateway is gone.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler()),
	)
	if err != nil {
		return nil, fmt.Errorf("--service-config %s: %w", g.serviceConfig, err)
	}
	return connection, nil
}

// isAddress tells whether it is one host and a port.
func isAddress(endpoint string) bool {
	host, number, err := net.SplitHostPort(endpoint)
	if err != nil || host == "" {
		return false
	}
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil || port == 0 {
		return false
	}
	// What stands for a host, be it an IPv6 address in brackets, and nothing else.
	address, err := url.Parse("//" + endpoint)
	return err == nil && address.Host == endpoint
}

// authorization is the metadata that shows the token, if there is a file with one.
func authorization(tokenFile string) (metadata.MD, error) {
	if tokenFile == "" {
		return nil, nil
	}
	content, err := os.ReadFile(tokenFile)
	if err != nil {
		return nil, fmt.Errorf("--token-file: %w", err)
	}
	token := strings.TrimSpace(string(content))
	if !regexp.MustCompile(`^[!-~]+$`).MatchString(token) {
		return nil, fmt.Errorf("--token-file %s: expected one token, in ASCII without spaces", tokenFile)
	}
	return metadata.Pairs("authorization", "Bearer "+token), nil
}
