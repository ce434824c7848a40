#include "bridge/config/listener.h"

namespace bridge::config {

Address ListenAddress(const std::string& address) { return *ParseAddress(address); }

bool IsOn(v1::Grpc::Switch wanted, const std::string& address) {
  return wanted == v1::Grpc::on || (wanted != v1::Grpc::off && IsLoopback(ListenAddress(address)));
}

}  // namespace bridge::config
