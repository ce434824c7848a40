#include "tests/support/store.h"

#include "absl/strings/str_cat.h"
#include "tests/support/nats_server.h"
#include "tests/support/temp_dir.h"

namespace bridge::test {
namespace {

class DiskStore final : public Store {
 public:
  std::vector<std::string> settings() const override { return {absl::StrCat("log.disk.path=", dir_.path(), "/log")}; }
  std::string trim_setting() const override { return "log.disk.max_bytes=2MiB"; }

 private:
  const TempDir dir_;
};

class JetStreamStore final : public Store {
 public:
  std::vector<std::string> settings() const override {
    return {absl::StrCat("log.jetstream.url='", server_.url(), "'")};
  }
  std::string trim_setting() const override { return "log.jetstream.max_bytes=2MiB"; }

 private:
  NatsServer server_;
};

}  // namespace

std::vector<StoreKind> StoreKinds() {
  return {{.name = "Disk", .make = [] { return std::make_unique<DiskStore>(); }},
          {.name = "JetStream", .make = [] { return std::make_unique<JetStreamStore>(); }}};
}

}  // namespace bridge::test
