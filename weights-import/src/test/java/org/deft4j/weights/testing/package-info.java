/** What the tests of all modules share: golden data, and comparing with it. */
package org.deft4j.weights.testing;
