#include "bridge/log/disk_log.h"

#include <gtest/gtest.h>

namespace bridge::log {
namespace {

TEST(DiskLog, ADirectoryWithoutAParentIsRefused) {
  EXPECT_FALSE(DiskLog::Open({.path = "/nowhere/at/all"}).ok());
}

}  // namespace
}  // namespace bridge::log
