// iam-simulate, in one process: prints its decisions and CPU-seconds as JSON.
//   node contender.mjs WORKLOAD.json ROUNDS [--decisions]
// Calls the package's inner `authorize` with policies loaded once: its fastest way in.
import { readFileSync } from 'node:fs'

const packages = `${process.env.PEERS}/node_modules/@cloud-copilot`
const engine = `${packages}/iam-simulate/dist/esm`
const { loadPolicy } = await import(`${packages}/iam-policy/dist/esm/index.js`)
const { authorize } = await import(`${engine}/core_engine/CoreSimulatorEngine.js`)
const { AwsRequestImpl } = await import(`${engine}/request/request.js`)
const { RequestContextImpl } = await import(`${engine}/requestContext.js`)
const { DiscoveryContextKeyConstraints } = await import(
  `${engine}/context_keys/discoveryContextKeyConstraints.js`
)

const [path, rounds, flag] = process.argv.slice(2)
const workload = JSON.parse(readFileSync(path))
const policies = workload.principals.map((each) =>
  each.policies.map((document, number) => loadPolicy(document, { name: String(number) }))
)
const simulationParameters = {
  simulationMode: 'Strict',
  discoveryContextKeyConstraints: new DiscoveryContextKeyConstraints([]),
}

function run({ principal, action, resource, context }) {
  const target = { resource, accountId: workload.account }
  return authorize({
    request: new AwsRequestImpl(
      workload.principals[principal].arn,
      target,
      action,
      new RequestContextImpl(context)
    ),
    identityPolicies: policies[principal],
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    simulationParameters,
  }).result
}

if (flag === '--decisions') {
  console.log(workload.requests.map((each) => run(each)[0]).join('')) // Allowed, Explicitly…, Implicitly…
} else {
  if (workload.rounds > 1) workload.requests.forEach(run)
  const start = process.cpuUsage()
  for (let round = 0; round < rounds; round++) workload.requests.forEach(run)
  const used = process.cpuUsage(start)
  console.log(
    JSON.stringify({
      decisions: workload.requests.length * rounds,
      cpu_seconds: (used.user + used.system) / 1e6,
    })
  )
}
