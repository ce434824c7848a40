# The libraries of others: Debian's packages, found by their CMake config files or by pkg-config.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(Protobuf REQUIRED)
find_package(absl CONFIG REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(Boost CONFIG REQUIRED)  # headers only: Flyweight, Intrusive, JSON
find_package(OpenSSL REQUIRED)
find_package(CURL REQUIRED)
find_package(ZLIB REQUIRED)
find_package(yaml-cpp CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(CLI11 CONFIG REQUIRED)

# Its flags change class layouts: without them code links and is undefined behaviour. So it is used by this target only.
pkg_check_modules(httplib REQUIRED IMPORTED_TARGET cpp-httplib)

pkg_check_modules(libnats REQUIRED IMPORTED_TARGET libnats)
pkg_check_modules(lmdb REQUIRED IMPORTED_TARGET lmdb)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)

if(BRIDGE_TESTS)
  find_package(GTest REQUIRED)
endif()

if(NOT TARGET yaml-cpp::yaml-cpp)  # Debian 12's 0.7 exports the bare name
  add_library(yaml-cpp::yaml-cpp ALIAS yaml-cpp)
endif()
