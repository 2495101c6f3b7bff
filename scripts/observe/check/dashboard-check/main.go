// Decodes Grafana dashboards strictly, with Grafana's own generated types: an unknown field, or one of the wrong type, is an
// error, also in panels and in queries that name the type of their data source.
package main

import (
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func check(path string) (int, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	var board dashboard.Dashboard
	// When all is well it gives an empty list of errors, which is not nil.
	if err := board.UnmarshalJSONStrict(raw); err != nil && err.Error() != "" {
		return 0, err
	}
	return len(board.Panels), board.Validate()
}

func main() {
	plugins.RegisterDefaultPlugins()
	code := 0
	for _, path := range os.Args[1:] {
		panels, err := check(path)
		if err != nil {
			fmt.Printf("%s: %v\n", path, err)
			code = 1
			continue
		}
		fmt.Printf("%s: %d panels\n", path, panels)
	}
	os.Exit(code)
}
