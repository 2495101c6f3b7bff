# Images for both architectures, with a list of what is in them (SBOM) and how they were made (provenance) attached:
#
#     docker buildx bake --file deploy/docker/docker-bake.hcl --push
variable "IMAGE" { default = "eventrunner" }
variable "VERSION" { default = "dev" }
variable "REVISION" { default = "unknown" }

group "default" {
  targets = ["eventrunner", "debug"]
}

target "common" {
  context    = "."
  dockerfile = "deploy/docker/Dockerfile"
  platforms  = ["linux/amd64", "linux/arm64"]
  args       = { VERSION = VERSION, REVISION = REVISION }
  attest     = ["type=sbom", "type=provenance,mode=max"]
}

target "eventrunner" {
  inherits = ["common"]
  target   = "eventrunner"
  tags     = ["${IMAGE}:${VERSION}"]
}

target "debug" {
  inherits = ["common"]
  target   = "debug"
  tags     = ["${IMAGE}:${VERSION}-debug"]
}
