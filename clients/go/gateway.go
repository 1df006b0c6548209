package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// gateway is where the gateway is, and how it is called.
type gateway struct {
	endpoint, caFile, serviceConfig string
	timeout                         seconds
}

func (g *gateway) addFlags(flags *pflag.FlagSet) {
	g.timeout = seconds(10 * time.Second)
	flags.StringVar(&g.endpoint, "endpoint", "127.0.0.1:50051", "`HOST:PORT` of the gateway")
	flags.Var(&g.timeout, "timeout", "the deadline of everything that the command does, waits included")
	flags.StringVar(&g.caFile, "ca-file", "", "PEM `file` of the authorities to trust; without it there is no TLS")
	flags.StringVar(&g.serviceConfig, "service-config", "../service_config.json", "`file` with the gRPC service config")
}

// call does the work under one deadline and one span. An error says that nothing was sent.
func (g *gateway) call(name string, work func(context.Context, *grpc.ClientConn)) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(g.timeout))
	defer cancel()
	connection, err := g.connect()
	if err != nil {
		return err
	}
	defer connection.Close()
	flush, err := startTracing(ctx)
	if err != nil {
		return err
	}
	defer flush()
	ctx, span := otel.Tracer("incidentgate-client").Start(ctx, name)
	defer span.End()
	work(ctx, connection)
	return nil
}

func (g *gateway) connect() (*grpc.ClientConn, error) {
	address, err := url.Parse("//" + g.endpoint)
	if err != nil || address.Host != g.endpoint || address.Hostname() == "" || !isPort(address.Port()) {
		return nil, fmt.Errorf("--endpoint %q: expected HOST:PORT, such as 127.0.0.1:50051", g.endpoint)
	}
	transport := insecure.NewCredentials()
	if g.caFile != "" {
		if transport, err = credentials.NewClientTLSFromFile(g.caFile, ""); err != nil {
			return nil, fmt.Errorf("--ca-file %s: expected a file with certificates in PEM: %w", g.caFile, err)
		}
	}
	serviceConfig, err := os.ReadFile(g.serviceConfig)
	if err != nil {
		return nil, fmt.Errorf("--service-config: %w", err)
	}
	connection, err := grpc.NewClient(
		g.endpoint,
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultServiceConfig(string(serviceConfig)),
		// No one else's, by DNS: it could have the call sent again.
		grpc.WithDisableServiceConfig(),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler()),
	)
	if err != nil {
		return nil, fmt.Errorf("--service-config %s: %w", g.serviceConfig, err)
	}
	return connection, nil
}

func isPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port > 0
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

// seconds is a flag's duration as a number.
type seconds time.Duration

func (s *seconds) Set(text string) error {
	number, err := strconv.ParseFloat(text, 64)
	if err != nil || !(number > 0 && number <= 86400) {
		return errors.New("expected seconds, above 0 and at most 86400, such as 2.5")
	}
	*s = seconds(number * float64(time.Second))
	return nil
}

func (s *seconds) String() string {
	return strconv.FormatFloat(time.Duration(*s).Seconds(), 'g', -1, 64)
}

func (s *seconds) Type() string { return "seconds" }
