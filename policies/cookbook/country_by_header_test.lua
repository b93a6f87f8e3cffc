local test = require "neap.test"

local function ask(headers, targets, settings)
  settings = settings or { countries = { DE = { "eu" }, FR = { "eu" } } }
  return test.run {
    policies = { { "country_by_header", settings }, "priority_failover" },
    targets  = targets or { "us/m", "eu/m" },
    upstream = { ["us/m"] = { text = "from the US" }, ["eu/m"] = { text = "from the EU" } },
    request  = { headers = headers },
  }
end

test("a country that is listed stays on its targets", function()
  local run = ask { ["CF-IPCountry"] = "DE" }
  test.equal({ run.text, run.notes }, { "from the EU", { "from DE" } })
  test.equal(ask({ ["cf-ipcountry"] = "fr" }).text, "from the EU")
end)

test("header and countries may be written in any case", function()
  local settings = { header = "X-Country", countries = { de = { "eu" } } }
  test.equal(ask({ ["x-country"] = "DE" }, nil, settings).text, "from the EU")
end)

test("any other goes anywhere, and so does who sends none", function()
  test.equal({ ask({ ["cf-ipcountry"] = "JP" }).text, ask().text },
    { "from the US", "from the US" })
end)

test("it is a rule: without an allowed target nobody is asked", function()
  local run = ask({ ["cf-ipcountry"] = "DE" }, { "us/m" })
  test.equal({ run.status, run.tried }, { 503, {} })
end)
