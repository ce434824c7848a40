#pragma once

#include <cstddef>
#include <string>

namespace bridge::bench {

// The bytes that a durable log stores of an event with this topic and a payload of `payload_bytes`.
std::string MakeStoreRecord(const std::string& topic, size_t payload_bytes);

}  // namespace bridge::bench
