#pragma once

#include "bridge/http/dispatcher.h"

namespace bridge::http {

// Serves the embedded page at "/" and what it loads.
void AddConsoleRoutes(Dispatcher* dispatcher);

}  // namespace bridge::http
