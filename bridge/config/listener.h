#pragma once

#include <string>

#include "bridge/config/address.h"
#include "bridge/config/v1/config.pb.h"

namespace bridge::config {

// What a validated configuration says of a listener: `address` is the text of its field.

Address ListenAddress(const std::string& address);

// Whether something is to be served there: auto means on loopback only.
bool IsOn(v1::Grpc::Switch wanted, const std::string& address);

}  // namespace bridge::config
