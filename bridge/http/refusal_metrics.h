#pragma once

#include <array>

#include "bridge/base/metric.h"
#include "bridge/http/gate.h"
#include "bridge/http/passing_refusal.h"

namespace bridge::http {

// How many requests were refused, by reason. Thread-safe.
struct RefusalMetrics {
  base::SharedMetric bad_request;
  base::SharedMetric unauthenticated;
  base::SharedMetric forbidden;
  base::SharedMetric not_found;
  std::array<base::SharedMetric, kPassingRefusals> passing;

  void Add(PassingRefusal refusal) { passing[static_cast<size_t>(refusal)].Add(1); }
  void Add(const Denial& denial) {
    if (denial.passing.has_value()) {
      Add(*denial.passing);
    } else if (denial.problem.status == 401) {
      unauthenticated.Add(1);
    } else if (denial.problem.status == 403) {
      forbidden.Add(1);
    } else {
      bad_request.Add(1);
    }
  }
};

}  // namespace bridge::http
