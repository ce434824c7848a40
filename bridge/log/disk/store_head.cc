#include "bridge/log/disk/store_head.h"

#include <array>
#include <bit>
#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace bridge::log::disk {
namespace {

// LMDB 0.9's meta page on a 64-bit machine: struct MDB_page, MDB_meta and MDB_db of its mdb.c.
struct Table {
  uint32_t page_bytes;  // in the first table only
  uint16_t flags;
  uint16_t depth;
  uint64_t branch_pages;
  uint64_t leaf_pages;
  uint64_t overflow_pages;
  uint64_t entries;
  uint64_t root;
};
struct MetaPage {
  uint64_t number;
  uint16_t pad;
  uint16_t flags;
  uint32_t bounds;
  uint32_t magic;
  uint32_t version;
  uint64_t address;
  uint64_t map_bytes;
  std::array<Table, 2> tables;
  uint64_t last_page;
  uint64_t transaction;
};
static_assert(sizeof(MetaPage) == 152 && sizeof(size_t) == 8);

constexpr uint16_t kMetaFlag = 0x08;
constexpr uint32_t kMagic = 0xBEEFC0DE;
constexpr uint32_t kVersion = 1;
constexpr uint64_t kNoPage = ~uint64_t{0};

bool IsMeta(const MetaPage& page, uint64_t number) {
  const uint32_t page_bytes = page.tables[0].page_bytes;
  return page.number == number && (page.flags & kMetaFlag) != 0 && page.magic == kMagic && page.version == kVersion &&
         std::has_single_bit(page_bytes) && page_bytes >= 512 && page_bytes <= 65536;
}

}  // namespace

absl::Status CheckStoreHead(int fd, uint64_t file_bytes) {
  std::array<MetaPage, 2> pages = {};
  uint64_t page_bytes = 0;
  for (uint64_t number = 0; number < pages.size(); ++number) {
    MetaPage& page = pages[number];
    const ssize_t bytes = pread(fd, &page, sizeof(page), static_cast<off_t>(number * page_bytes));
    if (bytes != ssize_t{sizeof(page)} || !IsMeta(page, number)) {
      return absl::DataLossError(absl::StrCat("page ", number, " is not that of a store"));
    }
    page_bytes = page.tables[0].page_bytes;
  }
  const MetaPage& newest = pages[0].transaction > pages[1].transaction ? pages[0] : pages[1];
  const uint64_t pages_in_file = file_bytes / page_bytes;  // NOLINT(clang-analyzer-core.DivideZero): IsMeta has looked
  if (newest.last_page >= pages_in_file) {
    return absl::DataLossError(
        absl::StrCat("it has ", pages_in_file, " pages, and its head counts ", newest.last_page, ": it was cut off"));
  }
  for (const Table& table : newest.tables) {
    if (table.root != kNoPage && table.root > newest.last_page) {
      return absl::DataLossError(absl::StrCat("its head points to page ", table.root, " of ", newest.last_page));
    }
  }
  return absl::OkStatus();
}

}  // namespace bridge::log::disk
