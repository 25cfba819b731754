/** The closed family of operations. */
package org.deft4j.tensor.op;
