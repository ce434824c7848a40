#include "tests/chaos/schedule.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace bridge::chaos {
namespace {

// How often a kind of fault comes beside the others, and how long it lasts.
struct Kind {
  Target target;
  Action action;
  int weight;
  absl::Duration shortest;
  absl::Duration longest;
};

std::vector<Kind> KindsFor(const Parts& parts) {
  std::vector<Kind> kinds = {{Target::kClients, Action::kCut, 4, absl::ZeroDuration(), absl::ZeroDuration()},
                             {Target::kBridge, Action::kFreeze, 2, absl::Seconds(1), absl::Seconds(8)}};
  if (parts.survives_kills) {
    kinds.push_back({Target::kBridge, Action::kKill, 5, absl::ZeroDuration(), absl::Seconds(2)});
    kinds.push_back({Target::kBridge, Action::kDrain, 2, absl::ZeroDuration(), absl::ZeroDuration()});
  }
  if (parts.nats_servers > 0) {
    kinds.push_back({Target::kNats, Action::kKill, 4, absl::ZeroDuration(), absl::Seconds(3)});
    kinds.push_back({Target::kLink, Action::kCut, 4, absl::ZeroDuration(), absl::ZeroDuration()});
    kinds.push_back({Target::kLink, Action::kRefuse, 2, absl::Milliseconds(100), absl::Seconds(3)});
    kinds.push_back({Target::kLink, Action::kHold, 2, absl::Milliseconds(500), absl::Seconds(6)});
    kinds.push_back({Target::kLink, Action::kDelay, 1, absl::Milliseconds(500), absl::Seconds(4)});
  }
  if (parts.nats_servers == 1) {
    // Not in a cluster: there a server that goes on after it stood still can have another history than the others from
    // then on. nats-server 2.9.10 was seen with as many messages up to the same sequence, in fewer bytes.
    kinds.push_back({Target::kNats, Action::kFreeze, 2, absl::Seconds(1), absl::Seconds(8)});
  }
  return kinds;
}

size_t CountOf(Target target, const Parts& parts) {
  switch (target) {
    case Target::kBridge:
    case Target::kLink:
      return parts.bridges;
    case Target::kNats:
      return parts.nats_servers;
    case Target::kClients:
      return 1;
  }
}

std::string NameOf(Target target, Action action) {
  constexpr const char* kTargets[] = {"bridge", "nats", "link", "clients"};
  constexpr const char* kActions[] = {"kill", "drain", "freeze", "cut", "refuse", "hold", "delay"};
  return absl::StrCat(kActions[static_cast<size_t>(action)], " ", kTargets[static_cast<size_t>(target)]);
}

// The same on every platform, which std's distributions are not.
absl::Duration Between(std::mt19937_64& random, absl::Duration shortest, absl::Duration longest) {
  const int64_t span_ms = absl::ToInt64Milliseconds(longest - shortest);
  return shortest + absl::Milliseconds(static_cast<int64_t>(random() % static_cast<uint64_t>(span_ms + 1)));
}

}  // namespace

std::string TextOf(const Fault& fault) {
  std::string text = NameOf(fault.target, fault.action);
  if (fault.target != Target::kClients) {
    absl::StrAppend(&text, " ", fault.index);
  }
  if (fault.lasts > absl::ZeroDuration()) {
    absl::StrAppend(&text, " for ", absl::FormatDuration(fault.lasts));
  }
  return text;
}

std::vector<Fault> MakeSchedule(uint64_t seed, const Parts& parts, size_t count, const std::string& only) {
  std::mt19937_64 random(seed);
  std::vector<const Kind*> choices;  // each as often as it weighs
  const std::vector<Kind> kinds = KindsFor(parts);
  for (const Kind& kind : kinds) {
    if (absl::StartsWith(NameOf(kind.target, kind.action), only)) {
      choices.insert(choices.end(), static_cast<size_t>(kind.weight), &kind);
    }
  }
  if (choices.empty()) {
    std::fprintf(stderr, "no fault is called \"%s\"\n", only.c_str());
    std::abort();
  }
  std::vector<Fault> schedule;
  std::map<std::pair<Target, size_t>, absl::Duration> busy_until;
  absl::Duration now;
  absl::Duration pause;
  while (schedule.size() < count) {
    pause += Between(random, absl::Milliseconds(50), absl::Milliseconds(1'200));
    const Kind& kind = *choices[random() % choices.size()];
    const Fault fault = {.target = kind.target,
                         .index = random() % CountOf(kind.target, parts),
                         .action = kind.action,
                         .pause = pause,
                         .lasts = Between(random, kind.shortest, kind.longest)};
    // Of a NATS cluster one server at a time: without most of them it promises nothing.
    absl::Duration& until = busy_until[{fault.target, fault.target == Target::kNats ? 0 : fault.index}];
    if (now + pause < until) {
      continue;
    }
    now += pause;
    until = now + fault.lasts;
    schedule.push_back(fault);
    pause = absl::ZeroDuration();
  }
  return schedule;
}

absl::Duration LengthOf(const std::vector<Fault>& schedule) {
  absl::Duration length;
  for (const Fault& fault : schedule) {
    length += fault.pause;
  }
  return length;
}

}  // namespace bridge::chaos
