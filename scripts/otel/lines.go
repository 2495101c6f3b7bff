package main

import (
	"context"
	"errors"
	"os"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// linesConfig is what an exporter `lines` takes.
type linesConfig struct {
	// Path of the file, which is appended to.
	Path string `mapstructure:"path"`
}

func (config *linesConfig) Validate() error {
	if config.Path == "" {
		return errors.New("path is missing: name the file to write to")
	}
	return nil
}

// lines writes each request it is given as one line of OTLP JSON.
type lines struct {
	component.StartFunc
	mutex sync.Mutex
	file  *os.File
}

func (*lines) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (l *lines) Shutdown(context.Context) error { return l.file.Close() }

func (l *lines) write(line []byte, err error) error {
	if err != nil {
		return err
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	_, err = l.file.Write(append(line, '\n'))
	return err
}

func (l *lines) ConsumeTraces(_ context.Context, data ptrace.Traces) error {
	return l.write((&ptrace.JSONMarshaler{}).MarshalTraces(data))
}

func (l *lines) ConsumeMetrics(_ context.Context, data pmetric.Metrics) error {
	return l.write((&pmetric.JSONMarshaler{}).MarshalMetrics(data))
}

func (l *lines) ConsumeLogs(_ context.Context, data plog.Logs) error {
	return l.write((&plog.JSONMarshaler{}).MarshalLogs(data))
}

func open(config component.Config) (*lines, error) {
	file, err := os.OpenFile(config.(*linesConfig).Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	return &lines{file: file}, err
}

func linesFactory() exporter.Factory {
	level := component.StabilityLevelDevelopment
	return exporter.NewFactory(
		component.MustNewType("lines"),
		func() component.Config { return &linesConfig{} },
		exporter.WithTraces(func(_ context.Context, _ exporter.Settings, config component.Config) (exporter.Traces, error) {
			return open(config)
		}, level),
		exporter.WithMetrics(func(_ context.Context, _ exporter.Settings, config component.Config) (exporter.Metrics, error) {
			return open(config)
		}, level),
		exporter.WithLogs(func(_ context.Context, _ exporter.Settings, config component.Config) (exporter.Logs, error) {
			return open(config)
		}, level),
	)
}
