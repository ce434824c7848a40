// The ceiling of the log on disk: LMDB alone, which takes the bridge's records in batches, each synced before the next
// one begins.
//
// With --transactions-of it writes nothing, and says how many transactions a store has seen: so the bridge's own
// batches can be counted.
//
// Prints one line of JSON at its end.
#include <cstdint>
#include <lmdb.h>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <absl/strings/str_cat.h>

#include "tests/bench/clock.h"
#include "tests/bench/latency.h"
#include "tests/bench/report.h"
#include "tests/bench/store_record.h"

namespace bridge::bench {
namespace {

constexpr size_t kMapBytes = size_t{32} << 30;
constexpr mdb_mode_t kFileMode = 0600;
// What the bridge stores with a record: its time and a checksum.
constexpr size_t kSealBytes = 16;

struct Options {
  std::string file;
  std::string topic = "bench";
  size_t payload_bytes = 256;
  uint64_t events = 0;  // 0: as many as `seconds` allow
  double seconds = 3;
  uint64_t batch = 1000;
};

struct CloseEnv {
  void operator()(MDB_env* env) const { mdb_env_close(env); }
};
using Env = std::unique_ptr<MDB_env, CloseEnv>;

void Require(int error, const std::string& what) {
  if (error != 0) Fail(absl::StrCat(what, ": ", mdb_strerror(error)));
}

Env Open(const std::string& file, unsigned flags) {
  MDB_env* env = nullptr;
  Require(mdb_env_create(&env), "mdb_env_create");
  Env owned(env);
  Require(mdb_env_set_mapsize(env, kMapBytes), "mdb_env_set_mapsize");
  Require(mdb_env_open(env, file.c_str(), flags | MDB_NOSUBDIR, kFileMode), file);
  return owned;
}

void WriteBatch(MDB_env* env, const std::string& record, uint64_t first, uint64_t count) {
  MDB_txn* txn = nullptr;
  MDB_dbi table = 0;
  Require(mdb_txn_begin(env, nullptr, 0, &txn), "mdb_txn_begin");
  Require(mdb_dbi_open(txn, nullptr, MDB_INTEGERKEY, &table), "mdb_dbi_open");
  for (uint64_t sequence = first; sequence < first + count; ++sequence) {
    MDB_val key{.mv_size = sizeof(sequence), .mv_data = &sequence};
    MDB_val value{.mv_size = record.size(), .mv_data = const_cast<char*>(record.data())};
    Require(mdb_put(txn, table, &key, &value, MDB_APPEND), "mdb_put");
  }
  Require(mdb_txn_commit(txn), "mdb_txn_commit");
}

void Measure(const Options& options) {
  const Env env = Open(options.file, 0);
  const std::string record = MakeStoreRecord(options.topic, options.payload_bytes) + std::string(kSealBytes, 's');
  const int64_t start_ns = NowNs();
  const int64_t end_ns = start_ns + static_cast<int64_t>(options.seconds * 1e9);
  Latency latency;
  uint64_t written = 0;
  int64_t now_ns = start_ns;
  while ((options.events == 0 || written < options.events) && now_ns < end_ns) {
    WriteBatch(env.get(), record, written + 1, options.batch);
    written += options.batch;
    latency.Record(NowNs() - now_ns);
    now_ns = NowNs();
  }
  Report()
      .Set("events", static_cast<double>(written))
      .Set("seconds", static_cast<double>(now_ns - start_ns) / 1e9)
      .Set("ack_p50_ms", latency.QuantileMs(0.5))
      .Set("ack_p99_ms", latency.QuantileMs(0.99))
      .Print();
}

void CountTransactions(const std::string& file) {
  const Env env = Open(file, MDB_RDONLY | MDB_NOLOCK);
  MDB_envinfo info{};
  Require(mdb_env_info(env.get(), &info), "mdb_env_info");
  Report().Set("transactions", static_cast<double>(info.me_last_txnid)).Print();
}

int Main(int argc, char** argv) {
  Options options;
  std::string counted_file;
  CLI::App app("Writes records with LMDB and nothing else.");
  auto* const what = app.add_option_group("what");
  what->add_option("--file", options.file, "a new store to write to");
  what->add_option("--transactions-of", counted_file, "only count those of this store");
  what->require_option(1);
  app.add_option("--topic", options.topic, "of all records");
  app.add_option("--payload", options.payload_bytes, "bytes of a payload");
  app.add_option("--events", options.events, "records to write; 0: as many as --seconds allow");
  app.add_option("--seconds", options.seconds, "the longest time to write for")->check(CLI::Range(0.1, 600.0));
  app.add_option("--batch", options.batch, "records of a transaction")->check(CLI::Range(1, 10'000'000));
  CLI11_PARSE(app, argc, argv);
  counted_file.empty() ? Measure(options) : CountTransactions(counted_file);
  return 0;
}

}  // namespace
}  // namespace bridge::bench

int main(int argc, char** argv) { return bridge::bench::Main(argc, argv); }
