#pragma once

// Boost.JSON from its headers; json.cc compiles it. Of the libraries that are there on both Debians it reads the claims
// of a token in 0.5 µs, writes as well, keeps 64-bit integers and needs no package that is not there already.
#include <boost/json.hpp>

#include "absl/strings/string_view.h"

namespace bridge::base {

inline boost::json::string_view JsonText(absl::string_view text) { return {text.data(), text.size()}; }

// The text of a JSON string, borrowed.
inline absl::string_view TextOf(const boost::json::string& string) { return {string.data(), string.size()}; }

}  // namespace bridge::base
