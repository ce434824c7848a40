#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// The names of later Abseil, so that an upgrade deletes this file.

#define BRIDGE_STATUS_CONCAT_INNER(a, b) a##b
#define BRIDGE_STATUS_CONCAT(a, b) BRIDGE_STATUS_CONCAT_INNER(a, b)

// Returns from the enclosing function where `expr` is not OK.
#define RETURN_IF_ERROR(expr)                                                   \
  do {                                                                          \
    if (absl::Status status_macro_result = (expr); !status_macro_result.ok()) { \
      return status_macro_result;                                               \
    }                                                                           \
  } while (false)

// Assigns the value of the StatusOr `expr` to `lhs`, or returns its status.
#define ASSIGN_OR_RETURN(lhs, expr) ASSIGN_OR_RETURN_INNER(BRIDGE_STATUS_CONCAT(status_or_, __LINE__), lhs, expr)
// NOLINTBEGIN(bugprone-macro-parentheses): what is declared and assigned to cannot stand in any
#define ASSIGN_OR_RETURN_INNER(result, lhs, expr) \
  auto result = (expr);                           \
  if (!result.ok()) {                             \
    return std::move(result).status();            \
  }                                               \
  lhs = *std::move(result)
// NOLINTEND(bugprone-macro-parentheses)
